import { sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  bigserial,
  boolean,
  check,
  index,
  integer,
  jsonb,
  numeric,
  pgTable,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'

/**
 * The seven models of TaskMaster. What a run acts on is read from the live catalog, not from here: these give the
 * tables their labels, and the sample its shape.
 */
const id = () => bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity()
const time = (name: string) => timestamp(name, { withTimezone: true })
const createdAt = () => time('created_at').notNull().defaultNow()

const users = pgTable(
  'users',
  {
    id: id(),
    email: text('email').notNull().unique(),
    displayName: text('display_name').notNull(),
    role: text('role').notNull().default('player'),
    isActive: boolean('is_active').notNull().default(true),
    preferences: jsonb('preferences').notNull().default({}),
    createdAt: createdAt(),
    lastSeenAt: time('last_seen_at'),
  },
  (table) => [check('users_role_check', sql`${table.role} IN ('player', 'author', 'admin')`)],
)

const worlds = pgTable('worlds', {
  id: id(),
  ownerId: bigint('owner_id', { mode: 'number' })
    .notNull()
    .references(() => users.id),
  name: text('name').notNull(),
  genre: text('genre').notNull(),
  description: text('description'),
  isPublic: boolean('is_public').notNull().default(false),
  difficulty: numeric('difficulty', { precision: 4, scale: 2 }).notNull().default('1.00'),
  settings: jsonb('settings').notNull().default({}),
  createdAt: createdAt(),
  updatedAt: time('updated_at').notNull().defaultNow(),
})

const worldElements = pgTable(
  'world_elements',
  {
    id: id(),
    worldId: bigint('world_id', { mode: 'number' })
      .notNull()
      .references(() => worlds.id, { onDelete: 'cascade' }),
    parentId: bigint('parent_id', { mode: 'number' }).references((): AnyPgColumn => worldElements.id, {
      onDelete: 'set null',
    }),
    kind: text('kind').notNull(),
    name: text('name').notNull(),
    description: text('description'),
    attributes: jsonb('attributes'),
    weight: numeric('weight', { precision: 8, scale: 3 }),
    createdAt: createdAt(),
  },
  (table) => [index('world_elements_world_id').on(table.worldId)],
)

const timelines = pgTable('timelines', {
  id: id(),
  worldId: bigint('world_id', { mode: 'number' })
    .notNull()
    .references(() => worlds.id, { onDelete: 'cascade' }),
  name: text('name').notNull(),
  calendar: text('calendar').notNull().default('gregorian'),
  isCanonical: boolean('is_canonical').notNull().default(false),
  createdAt: createdAt(),
})

const timelineEvents = pgTable(
  'timeline_events',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    timelineId: bigint('timeline_id', { mode: 'number' })
      .notNull()
      .references(() => timelines.id, { onDelete: 'cascade' }),
    elementId: bigint('element_id', { mode: 'number' }).references(() => worldElements.id, {
      onDelete: 'set null',
    }),
    position: integer('position').notNull(),
    title: text('title').notNull(),
    body: text('body').notNull().default(''),
    year: numeric('year', { precision: 12, scale: 2 }),
    createdAt: createdAt(),
  },
  (table) => [index('timeline_events_timeline_id').on(table.timelineId, table.position)],
)

const storySessions = pgTable('story_sessions', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  userId: bigint('user_id', { mode: 'number' })
    .notNull()
    .references(() => users.id),
  worldId: bigint('world_id', { mode: 'number' })
    .notNull()
    .references(() => worlds.id),
  timelineId: bigint('timeline_id', { mode: 'number' }).references(() => timelines.id),
  title: text('title').notNull(),
  /** The generated story's key below FILES_PREFIX. */
  fileKey: text('file_key'),
  wordCount: integer('word_count').notNull().default(0),
  isFinished: boolean('is_finished').notNull().default(false),
  state: jsonb('state').notNull().default({}),
  startedAt: time('started_at').notNull().defaultNow(),
  endedAt: time('ended_at'),
})

const auditLogs = pgTable(
  'audit_logs',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    userId: bigint('user_id', { mode: 'number' }).references(() => users.id, { onDelete: 'set null' }),
    action: text('action').notNull(),
    subject: text('subject').notNull(),
    detail: jsonb('detail'),
    createdAt: createdAt(),
  },
  (table) => [index('audit_logs_created_at').on(table.createdAt)],
)

/** Parents before the tables that reference them. */
export const tables = [users, worlds, worldElements, timelines, timelineEvents, storySessions, auditLogs]

/** The model that a table holds, by the table's name without its schema. */
export const models: Readonly<Record<string, string>> = {
  users: 'User',
  worlds: 'World',
  world_elements: 'WorldElement',
  timelines: 'Timeline',
  timeline_events: 'TimelineEvent',
  story_sessions: 'StorySession',
  audit_logs: 'AuditLog',
}
