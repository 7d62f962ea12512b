import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  check,
  index,
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
    /** With which the fingerprints of this environment's rows begin, a secret. */
    fingerprintSeed: bigint('fingerprint_seed', { mode: 'bigint' }),
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
    /** The fencing number: a later run has a higher one. */
    fence: bigint('fence', { mode: 'number' }).generatedByDefaultAsIdentity(),
    /** What a step waits for that has not changed anything yet, though its phase says that it is about to. */
    waiting: text('waiting'),
    /** Bytes of tables that were wiped or restored, and the milliseconds that they were locked for it. */
    locked: jsonb('locked'),
    /** SHA-256 of plan.json, see ledger/documents.ts. */
    planDigest: text('plan_digest'),
    /** Which late file of the run's backup counts. */
    late: jsonb('late'),
    /** The latest invocation of a step that adds to the sealed backup as it goes: an earlier one stops. */
    latestInvocation: text('latest_invocation'),
    /** The backup that the request's name meant when the run was first counted: later attempts take the same. */
    targetBackupId: text('target_backup_id'),
    /** When each state was first at work, and when last: `{"<state>": {"from", "to"}}`. */
    steps: jsonb('steps'),
  },
  (table) => [
    uniqueIndex('runs_idempotency_key').on(table.idempotencyKey),
    uniqueIndex('runs_one_running').on(table.status).where(sql`status = 'running'`),
  ],
)

/**
 * Invocations that may change a store, each until it ends or cannot be alive any more. A run that is over while it has
 * some is closing: the next one has to wait.
 */
const invocations = ledgerSchema.table(
  'invocations',
  {
    id: text('id').primaryKey(),
    runId: text('run_id').notNull(),
    requestId: text('request_id').notNull(),
    step: text('step').notNull(),
    beganAt: timestamp('began_at', { withTimezone: true }).notNull().defaultNow(),
    deadline: timestamp('deadline', { withTimezone: true }).notNull(),
  },
  (table) => [index('invocations_run').on(table.runId)],
)

/** When each token of the HTTP API was last used, to the minute. The tokens themselves stand in the configuration. */
export const tokens = ledgerSchema.table('tokens', {
  name: text('name').primaryKey(),
  lastUsedAt: timestamp('last_used_at', { withTimezone: true }).notNull(),
})

/** Which backup each label means. */
export const labels = ledgerSchema.table('labels', {
  label: text('label').primaryKey(),
  backupId: text('backup_id').notNull(),
  setBy: text('set_by'),
  setAt: timestamp('set_at', { withTimezone: true }).notNull().defaultNow(),
})

/** A sentence about a backup, for people. */
export const notes = ledgerSchema.table('notes', {
  backupId: text('backup_id').primaryKey(),
  note: text('note').notNull(),
  setBy: text('set_by'),
  setAt: timestamp('set_at', { withTimezone: true }).notNull().defaultNow(),
})

/** The calls of a run to hooks: each is made until it was answered, and then never again. */
export const calls = ledgerSchema.table(
  'calls',
  {
    runId: text('run_id').notNull(),
    moment: text('moment').notNull(),
    name: text('name').notNull(),
    state: text('state').notNull(),
    tries: integer('tries').notNull().default(0),
    /** The HTTP status. */
    answer: integer('answer'),
    error: text('error'),
    begunAt: timestamp('begun_at', { withTimezone: true }).notNull().defaultNow(),
    endedAt: timestamp('ended_at', { withTimezone: true }),
    /** Which invocation makes it, and until when nobody else may; null: none does. */
    claim: text('claim'),
    claimedUntil: timestamp('claimed_until', { withTimezone: true }),
  },
  (table) => [primaryKey({ columns: [table.runId, table.moment, table.name] })],
)

/** What was told to whom, once for each event: these come twice. */
export const notices = ledgerSchema.table(
  'notices',
  {
    about: text('about').notNull(),
    event: text('event').notNull(),
    name: text('name').notNull(),
    sentAt: timestamp('sent_at', { withTimezone: true }),
    error: text('error'),
  },
  (table) => [primaryKey({ columns: [table.about, table.event, table.name] })],
)

/** All tables of the ledger. */
export const tables = [environment, runs, invocations, tokens, labels, notes, calls, notices]
