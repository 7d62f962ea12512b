import { randomUUID } from 'node:crypto'
import { StateMachine } from 'aws-local-stepfunctions'
import pMap, { pMapSkip } from 'p-map'
import { childExecutionArn, mapRunArn } from './arn.ts'
import type { Definition, Json, State } from './definition.ts'
import { asText, noHistory } from './history.ts'
import { prepareStates } from './prepare-states.ts'
import { asStateError, contextOf, runStates, type Scope, type StatesRun } from './run-states.ts'
import { stateError, stopped, terminalError } from './state-errors.ts'

// AWS runs 40 items of an inline Map at once and 10,000 children of a Distributed one; no laptop's database stands that.
const MOST_AT_ONCE = 40

/** Each item through the processor, results in the order of the items. Once the Map has failed, no item is started. */
export async function runMap(name: string, state: State, input: Json, run: StatesRun): Promise<Json> {
  const processor = (state.ItemProcessor ?? state.Iterator) as Definition
  const distributed = processor.ProcessorConfig?.Mode === 'DISTRIBUTED'
  const label = typeof state.Label === 'string' ? state.Label : name.replaceAll(/[^\w-]/g, '')
  const items = await itemsOf(state, input, run)
  const add = (type: string, details?: Record<string, unknown>) => {
    if (!run.signal.aborted) run.previousEvent = run.history.add(run.previousEvent, type, details)
  }
  const failed = new AbortController()
  const signal = AbortSignal.any([run.signal, failed.signal])
  let failures = 0

  async function processItem(item: Json, index: number): Promise<Json | typeof pMapSkip> {
    if (signal.aborted) throw stopped()
    const itemInput = await inputOf(item, index, state, input, run)
    const around = { ...run, signal }
    if (!distributed) return await iterate(name, index, processor, itemInput, around)
    try {
      return await runStates(processor, itemInput, childScope(label, itemInput, around))
    } catch (error) {
      if (signal.aborted) throw error
      failures += 1
      if (isTolerated(failures, items.length, state)) return pMapSkip
      // The parent never sees by what name its child failed; a Catch for that name would be dead code on AWS.
      throw stateError(
        'States.ExceedToleratedFailureThreshold',
        'The specified tolerated failure threshold was exceeded',
      )
    }
  }

  add('MapStateStarted', { length: items.length })
  if (distributed) add('MapRunStarted', { mapRunArn: mapRunArn(label, randomUUID()) })
  try {
    const outputs = await pMap(items, processItem, { concurrency: await concurrencyOf(state, input, run) })
    if (distributed) add('MapRunSucceeded')
    add('MapStateSucceeded')
    return outputs
  } catch (error) {
    failed.abort()
    const { name: errorName, message } = error as Error
    if (distributed) add('MapRunFailed', { error: errorName, cause: message })
    add('MapStateFailed')
    throw error
  }
}

async function iterate(
  name: string,
  index: number,
  processor: Definition,
  input: Json,
  scope: Scope,
): Promise<Json> {
  const add = (type: string) => {
    scope.previousEvent = scope.history.add(scope.previousEvent, type, { name, index })
  }
  add('MapIterationStarted')
  try {
    const output = await runStates(processor, input, scope)
    add('MapIterationSucceeded')
    return output
  } catch (error) {
    add(scope.signal.aborted ? 'MapIterationAborted' : 'MapIterationFailed')
    throw error
  }
}

/** A child of a Distributed Map is an execution of its own: other `$$.Execution`, other history. */
function childScope(label: string, input: Json, scope: Scope): Scope {
  const name = randomUUID()
  const execution = {
    ...scope.execution,
    Id: childExecutionArn(label, name),
    Name: name,
    StartTime: new Date().toISOString(),
    Input: input,
  }
  return { ...scope, execution, history: noHistory() }
}

function isTolerated(failures: number, total: number, state: State): boolean {
  const { ToleratedFailureCount: count, ToleratedFailurePercentage: percentage } = state
  if (typeof count !== 'number' && typeof percentage !== 'number') return false
  const withinCount = typeof count !== 'number' || failures <= count
  return withinCount && (typeof percentage !== 'number' || (failures / total) * 100 <= percentage)
}

async function itemsOf(state: State, input: Json, run: StatesRun): Promise<Json[]> {
  const items =
    typeof state.ItemsPath === 'string' ? await evaluate({ InputPath: state.ItemsPath }, input, run) : input
  if (Array.isArray(items)) return items
  throw terminalError(
    'States.Runtime',
    `The items of a Map must be an array, but are ${asText(items).slice(0, 100)}.`,
  )
}

async function inputOf(item: Json, index: number, state: State, input: Json, run: StatesRun): Promise<Json> {
  const template = state.ItemSelector ?? state.Parameters
  if (template === undefined) return structuredClone(item)
  return await evaluate({ Parameters: template }, input, run, { Item: { Index: index, Value: item } })
}

async function concurrencyOf(state: State, input: Json, run: StatesRun): Promise<number> {
  const path = state.MaxConcurrencyPath
  const wanted =
    typeof path === 'string' ? await evaluate({ InputPath: path }, input, run) : state.MaxConcurrency
  return typeof wanted === 'number' && wanted > 0 ? Math.min(wanted, MOST_AT_ONCE) : MOST_AT_ONCE
}

/** Paths and templates are the interpreter's: a machine of one Pass state lets it evaluate one. */
async function evaluate(
  fields: Record<string, unknown>,
  input: Json,
  run: StatesRun,
  map?: unknown,
): Promise<Json> {
  const definition = { StartAt: 'Evaluate', States: { Evaluate: { Type: 'Pass', ...fields, End: true } } }
  const machine = new StateMachine(prepareStates(definition) as never, {
    validationOptions: { noValidate: true },
  })
  const context = { ...contextOf(run), ...(map ? { Map: map } : {}) }
  try {
    return (await machine.run(input, { context }).result) as Json
  } catch (error) {
    throw asStateError(error)
  }
}
