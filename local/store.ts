import type { S3Client } from '@aws-sdk/client-s3'
import type { Redis } from 'ioredis'
import type { Backup } from '../lib/backup/read.ts'
import type { Outcome } from '../lib/run/outcome.ts'
import type { Target } from '../lib/store.ts'
import type { Guarded } from './processes/child-processes.ts'

// What the stack, the sample, the demonstration and the command line ask of every store, in the same words. stores.ts has the answers side by
// side. What starts a service takes a second to load, so that a store loads what it answers with when it is asked.

/** What is decided of a store's service before anything is started. */
type PlannedService = { embedded: boolean }

/** What runs and where; no password and no token in it. */
export type Service = {
  name: Target | 'state machine'
  embedded: boolean
  description: string
  /** What of it is the real thing, with its version. */
  real: string[]
  /** What of it is an imitation, and by what. */
  imitated: string[]
}

/** A service, and the environment in which the product finds it. */
export type Started = { service: Service; env: Record<string, string> }

/** What a service is started with. */
export type Starting = {
  environment: NodeJS.ProcessEnv
  /** Where its processes are started, and end with us. */
  guarded(): Promise<Guarded>
  /** What is to be done when the stack stops, last first. */
  onEnd(end: () => Promise<void>): void
  /** A server for a database of its own in it, in place of a server of its own. */
  postgresAdminUrl: string | undefined
}

/** Whether what a machine lacks may be fetched, and who is told what is done that takes a while. */
export type Provision = { fetch: boolean; note: (text: string) => void }

/** The services of a stack, as they are reached past the product. */
export type Reached = {
  env: Record<string, string>
  /** Past the REST front. Undefined when the cache is only known by its REST address. */
  connectRedis: (() => Redis) | undefined
}

/** What a store's answers are made of. */
type Shape = { plan: PlannedService; started: Started; filled: unknown; count: unknown; found: unknown }

export type LocalStore<Its extends Shape> = {
  /** Variables that give its service. */
  addresses: readonly string[]
  /** How a person gives it, for a message. */
  howToGive: string
  /** Whether it is given, or embedded. An empty variable counts as not given. @throws Error for what is half given, or no address */
  plan(environment: NodeJS.ProcessEnv): Its['plan']
  /** The variable by which it is given. */
  givenBy(plan: Its['plan']): string
  /** Nothing has to be started for it, and nothing in front of it. */
  isComplete(plan: Its['plan']): boolean
  /** Sees to it that this machine has the program to be embedded. Absent: the packages of npm have it. */
  provide?(provision: Provision): Promise<unknown>
  start(plan: Its['plan'], starting: Starting): Promise<Its['started']>
  /** Puts its part of the sample into it, which grows with the scale. */
  fill(reached: Reached, scale: number): Promise<Its['filled']>
  /** How much that is: `5,390 rows`. */
  filledWith(filled: Its['filled']): string
  /** What of it could be reset, in lines for a terminal. */
  showOption(found: Its['found']): string
  demonstration(): Promise<Demonstration<Its['count']>>
}

/** How `npm start` looks at a store: with plain clients, and with none of the product's code. */
export type Demonstration<Count> = {
  count(asked: DirectAccess): Promise<Count>
  /** How much was there at the beginning: `5,390 rows in 7 tables`. */
  words(count: Count): string
  /** Its row of the summary: what was counted, backed up, wiped, and preserved; sizes are those stored in the backup. */
  summary(counted: { before: Count; backup: Backup; outcome: Outcome }): [string, string, string, string]
  /**
   * Compares what the run says with what the store and the backup hold.
   * @param found.backup where the backup lies
   * @returns what was found, in a line
   * @throws Error naming the first thing that is not so
   */
  proveWiped(
    found: { before: Count; after: Count; outcome: Outcome; backup: { bucket: string; prefix: string } },
    asked: DirectAccess,
  ): Promise<string>
  /** What somebody writes who tries the application: how much, in words. */
  use(asked: DirectAccess): Promise<string>
  /** The same as proveWiped after the reset to a baseline: everything is as it was when that was taken. */
  proveRestored(found: { before: Count; after: Count }, asked: DirectAccess): string
}

export type DirectAccess = Reached & { s3: S3Client }
