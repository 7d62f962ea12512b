/** Migration tools keep these; wiping them would make the application run its migrations again. */
const bookkeeping = new Set([
  '__drizzle_migrations',
  '_prisma_migrations',
  'alembic_version',
  'schema_migrations',
  'ar_internal_metadata',
  'flyway_schema_history',
  'knex_migrations',
  'knex_migrations_lock',
  'databasechangelog',
  'databasechangeloglock',
  'django_migrations',
  'goose_db_version',
  'migrations',
  'typeorm_metadata',
  '_sqlx_migrations',
  'sequelizemeta',
  'doctrine_migration_versions',
  'schema_version',
  'kysely_migration',
  'kysely_migration_lock',
])

/** Whether a table of this name is a migration tool's own. */
export function isBookkeeping(table: string): boolean {
  return bookkeeping.has(table.toLowerCase())
}
