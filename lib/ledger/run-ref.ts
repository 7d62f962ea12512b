import * as z from 'zod'

/** Which attempt of which run a step belongs to; every step's input holds it. */
export const RunRef = z.object({ runId: z.string().min(1), attempt: z.number().int().nonnegative() })
export type RunRef = z.output<typeof RunRef>

/** The same with the try of Count that planned it: the work lists lie under its name. */
export type PlannedRun = RunRef & { tried: string }
