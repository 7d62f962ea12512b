import * as z from 'zod'
import { enumeration } from '../amounts.ts'
import type { Clients } from '../clients.ts'
import { StoreUnavailable } from '../errors.ts'
import { nothing, type Preserve } from '../store/preserve.ts'
import { Reason, reasonOf } from '../store/reason.ts'
import { withFields } from '../store/sections.ts'
import { howMany, type Limits, perStore, type Target, targets } from '../store.ts'
import { extents, type Found, looks, optionSchemas } from '../stores.ts'
import { type Strategy, scopeOf, strategies } from './strategy.ts'

const counted = withFields({ available: z.literal(true), mark: z.string().nullable() }, optionSchemas)
const notCounted = z.strictObject({ available: z.literal(false), reason: Reason })

/** Each store as it was counted, or why it was not. `mark` is the environment's name it carries. */
const Stores = perStore((target) => z.discriminatedUnion('available', [counted[target], notCounted])) as {
  [T in Target]: z.ZodDiscriminatedUnion<[(typeof counted)[T], typeof notCounted]>
}

const Targets = z.array(z.enum(targets))

/** What can be reset. */
export const ResetOptions = z.strictObject({
  environment: z.string(),
  claimed: z.boolean().meta({
    description: `All ${howMany} stores carry the environment's name; false also when one cannot be asked`,
  }),
  protected: z.boolean(),
  strategies: z.array(
    z.strictObject({
      name: z.enum(strategies),
      clears: Targets,
      preserves: Targets,
      description: z.string(),
    }),
  ),
  ...Stores,
})
export type ResetOptions = z.output<typeof ResetOptions>

/**
 * For an answer in under two seconds, however much there is.
 * @see docs/decisions.md#the-quick-answer-estimates-with-the-planner
 */
export const quickly: Limits = {
  storeMs: 1_800,
  countMs: 900,
  bytes: 64 * 2 ** 20,
  // One page of a listing has 1,000: with the last of them it is known that there are more, and each page more takes 50 ms.
  objects: 999,
  keys: 50_000,
}

/**
 * What can be reset, with live counts; nothing is written. A store that is down is told as such, the others are counted
 * all the same.
 * @param preserve what a request would preserve in addition to the configuration
 * @param limits null: everything is counted exactly, however long that takes
 */
export async function getOptions(
  clients: Clients,
  preserve: Preserve = nothing(),
  limits: Limits | null = null,
): Promise<ResetOptions> {
  const { config } = clients
  const lookAt = async (target: Target) =>
    [
      target,
      await ask<Found[Target]>(`The ${target}`, limits, () => looks[target](clients, { preserve, limits })),
    ] as const
  const stores = Object.fromEntries(await Promise.all(targets.map(lookAt))) as Pick<ResetOptions, Target>
  const { database } = stores
  return {
    environment: config.ENVIRONMENT,
    claimed: Object.values(stores).every((store) => store.available && store.mark === config.ENVIRONMENT),
    protected: config.PROTECTED || (database.available && database.protected),
    strategies: strategies.map((name) => ({ name, ...scopeOf(name), description: describe(name, clients) })),
    ...stores,
  }
}

async function ask<Found>(
  name: string,
  limits: Limits | null,
  store: () => Promise<{ mark: string | undefined; found: Found }>,
) {
  try {
    const { mark = null, found } = await (limits === null ? store() : within(limits.storeMs, name, store()))
    return { mark, ...found, available: true as const }
  } catch (error) {
    return { available: false as const, reason: reasonOf(error) }
  }
}

/** The answer, if it comes in time. @throws StoreUnavailable */
async function within<Answer>(milliseconds: number, name: string, answer: Promise<Answer>): Promise<Answer> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const message = `${name} did not answer within ${milliseconds / 1000} s: it is down, or busy, or still waking up. Ask again in a moment`
    reject(new StoreUnavailable(message))
  }, milliseconds)
  try {
    return await Promise.race([answer, tooLate])
  } finally {
    clearTimeout(timer)
  }
}

function describe(strategy: Strategy, { config }: Clients): string {
  const { clears, preserves } = scopeOf(strategy)
  const list = (targets: readonly Target[]) =>
    enumeration(
      targets.map((target) => extents[target](config)),
      'and',
    )
  return `Clears ${list(clears)}. Preserves ${preserves.length > 0 ? list(preserves) : 'only what is said to be preserved'}.`
}
