import { sql } from 'drizzle-orm'
import {
  boolean,
  check,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
} from 'drizzle-orm/pg-core'

/** Postgres schema of the ledger. It is never managed, so never wiped. */
export const ledgerSchema = pgSchema('taskmaster_reset')

/** One row: the environment that this database belongs to. */
export const environment = ledgerSchema.table(
  'environment',
  {
    one: boolean('one').notNull().default(true),
    name: text('name').notNull(),
    protected: boolean('protected').notNull(),
    claimedAt: timestamp('claimed_at', { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.one] }), check('environment_one_check', sql`${table.one}`)],
)

/** One row per run. At most one has status `running`: inserting it is the lock. */
export const runs = ledgerSchema.table(
  'runs',
  {
    runId: text('run_id').primaryKey(),
    operation: text('operation').notNull(),
    strategy: text('strategy'),
    requestedBy: text('requested_by'),
    idempotencyKey: text('idempotency_key'),
    requestDigest: text('request_digest').notNull(),
    status: text('status').notNull(),
    phase: text('phase').notNull(),
    attempt: integer('attempt').notNull().default(0),
    backupId: text('backup_id'),
    plan: jsonb('plan'),
    progress: jsonb('progress').notNull().default({}),
    wiped: jsonb('wiped'),
    restored: jsonb('restored'),
    failure: jsonb('failure'),
    outcome: jsonb('outcome'),
    startedAt: timestamp('started_at', { withTimezone: true }).notNull().defaultNow(),
    heartbeatAt: timestamp('heartbeat_at', { withTimezone: true }).notNull().defaultNow(),
    finishedAt: timestamp('finished_at', { withTimezone: true }),
  },
  (table) => [
    uniqueIndex('runs_idempotency_key').on(table.idempotencyKey),
    uniqueIndex('runs_one_running').on(table.status).where(sql`status = 'running'`),
  ],
)

/** Creates the ledger; repeating it changes nothing. A test compares it with the tables above. */
export const createLedger = `
CREATE SCHEMA IF NOT EXISTS taskmaster_reset;
CREATE TABLE IF NOT EXISTS taskmaster_reset.environment (
  one boolean PRIMARY KEY DEFAULT true CONSTRAINT environment_one_check CHECK (one),
  name text NOT NULL,
  protected boolean NOT NULL,
  claimed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS taskmaster_reset.runs (
  run_id text PRIMARY KEY,
  operation text NOT NULL,
  strategy text,
  requested_by text,
  idempotency_key text,
  request_digest text NOT NULL,
  status text NOT NULL,
  phase text NOT NULL,
  attempt integer NOT NULL DEFAULT 0,
  backup_id text,
  plan jsonb,
  progress jsonb NOT NULL DEFAULT '{}',
  wiped jsonb,
  restored jsonb,
  failure jsonb,
  outcome jsonb,
  started_at timestamptz NOT NULL DEFAULT now(),
  heartbeat_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS runs_idempotency_key ON taskmaster_reset.runs (idempotency_key);
CREATE UNIQUE INDEX IF NOT EXISTS runs_one_running ON taskmaster_reset.runs (status) WHERE status = 'running';
`
