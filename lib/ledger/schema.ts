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
export const invocations = ledgerSchema.table(
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

/**
 * Creates the ledger, or brings one of an earlier version up to date; repeating it changes nothing. To be sent as one
 * text, which Postgres carries out as one transaction. A test compares it with the tables above.
 */
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
ALTER TABLE taskmaster_reset.environment ADD COLUMN IF NOT EXISTS fingerprint_seed bigint;
ALTER TABLE taskmaster_reset.runs ADD COLUMN IF NOT EXISTS fence bigint GENERATED BY DEFAULT AS IDENTITY;
ALTER TABLE taskmaster_reset.runs ADD COLUMN IF NOT EXISTS waiting text;
ALTER TABLE taskmaster_reset.runs ADD COLUMN IF NOT EXISTS locked jsonb;
ALTER TABLE taskmaster_reset.runs ADD COLUMN IF NOT EXISTS plan_digest text;
ALTER TABLE taskmaster_reset.runs ADD COLUMN IF NOT EXISTS late jsonb;
ALTER TABLE taskmaster_reset.runs ADD COLUMN IF NOT EXISTS latest_invocation text;
CREATE UNIQUE INDEX IF NOT EXISTS runs_idempotency_key ON taskmaster_reset.runs (idempotency_key);
CREATE UNIQUE INDEX IF NOT EXISTS runs_one_running ON taskmaster_reset.runs (status) WHERE status = 'running';
CREATE TABLE IF NOT EXISTS taskmaster_reset.invocations (
  id text PRIMARY KEY,
  run_id text NOT NULL,
  request_id text NOT NULL,
  step text NOT NULL,
  began_at timestamptz NOT NULL DEFAULT now(),
  deadline timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS invocations_run ON taskmaster_reset.invocations (run_id);
CREATE TABLE IF NOT EXISTS taskmaster_reset.tokens (
  name text PRIMARY KEY,
  last_used_at timestamptz NOT NULL
);
`
