import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { errorKinds } from '../../lib/errors.ts'

type State = {
  Type: string
  Next?: string
  Default?: string
  Choices?: { Next: string }[]
  Catch?: { ErrorEquals: string[]; Next: string }[]
  Retry?: { ErrorEquals: string[] }[]
  Branches?: Machine[]
  ItemProcessor?: Machine
  Resource?: string
  TimeoutSeconds?: number
  ResultPath?: string | null
}
type Machine = { StartAt: string; States: Record<string, State> }

const machine: Machine = JSON.parse(readFileSync(new URL('../../state-machine.asl.json', import.meta.url), 'utf8'))

/** Every state with the states of the machines inside it, and whether something around it catches. */
function* all({ States }: Machine, caught = false): Generator<{ name: string; state: State; caught: boolean }> {
  for (const [name, state] of Object.entries(States)) {
    yield { name, state, caught: caught || state.Catch !== undefined }
    for (const inner of [...(state.Branches ?? []), ...(state.ItemProcessor ? [state.ItemProcessor] : [])]) {
      yield* all(inner, caught || state.Catch !== undefined)
    }
  }
}

const states = [...all(machine)]
const tasks = states.filter(({ state }) => state.Type === 'Task')

function next(state: State): string[] {
  const targets = [state.Next, state.Default, ...(state.Choices ?? []).map((choice) => choice.Next)]
  return [...targets, ...(state.Catch ?? []).map((one) => one.Next)].filter((name) => name !== undefined)
}

/** Every way through the machine that visits no state twice, from `from`; each as the names on it. */
function paths(from: string, before: string[] = []): string[][] {
  const here = [...before, from]
  const onward = next(machine.States[from] as State).filter((name) => !here.includes(name))
  return onward.length === 0 ? [here] : onward.flatMap((name) => paths(name, here))
}

describe('the state machine', () => {
  test('every path from "Back up" to a wipe passes "Seal"', () => {
    const wiping = paths('Back up').filter((path) => path.some((name) => name.startsWith('Wipe') && !name.endsWith('?')))
    expect(wiping.length).toBeGreaterThan(0)
    for (const path of wiping) {
      const wipe = path.findIndex((name) => name.startsWith('Wipe') && !name.endsWith('?'))
      expect(path.indexOf('Seal'), path.join(' → ')).toBeLessThan(wipe)
      expect(path.indexOf('Seal')).toBeGreaterThanOrEqual(0)
    }
  })

  test('without a backup in between, only a plan that wants none leads to a wipe', () => {
    const choices = machine.States['What next?'] as unknown as { Choices: { StringEquals: string; Next: string }[]; Default: string }
    const leads = Object.fromEntries(choices.Choices.map((choice) => [choice.StringEquals, choice.Next]))
    expect(leads).toEqual({ backup: 'Back up', wipe: 'Wipe database?', repeated: 'Repeated' })
    expect(choices.Default).toBe('Finish')
  })

  test('every state is reached, and every state that is named exists', () => {
    const reached = new Set(paths(machine.StartAt).flat())
    expect([...reached].sort()).toEqual(Object.keys(machine.States).sort())
  })

  test('every path ends in Finish, in Repeated, or after Finish failed in Failed', () => {
    for (const path of paths(machine.StartAt)) {
      const end = path.at(-1)
      expect(['Finish', 'Repeated', 'Failed', 'Finish failed']).toContain(end)
      if (end === 'Failed') expect(path).toContain('Finish failed')
    }
  })

  test('every Task has a timeout, and a Catch on itself or on what encloses it', () => {
    for (const { name, state, caught } of tasks) {
      expect(state.TimeoutSeconds, name).toBeGreaterThan(0)
      expect(caught, name).toBe(true)
    }
  })

  test('every Catch leads to Finish failed for all errors, and the failure path ends in a Fail state', () => {
    for (const { name, state } of states) {
      if (state.Catch === undefined) continue
      const last = state.Catch.at(-1)
      expect(last?.ErrorEquals, name).toEqual(['States.ALL'])
      expect(last?.Next, name).toBe(name === 'Finish failed' ? 'Failed' : 'Finish failed')
    }
    expect(machine.States.Failed?.Type).toBe('Fail')
  })

  test('every error of ours that the machine names is a class in errors.ts', () => {
    const named = states.flatMap(({ state }) => [...(state.Retry ?? []), ...(state.Catch ?? [])]).flatMap((rule) => rule.ErrorEquals)
    const ours = [...new Set(named)].filter((name) => !/^(States|Lambda|Sandbox)\./.test(name))
    expect(ours.length).toBeGreaterThan(0)
    for (const name of ours) expect(errorKinds.has(name), name).toBe(true)
  })

  test('nothing is retried blindly: every Retry names its errors, and a wipe is not repeated on StoreUnavailable of the database', () => {
    for (const { name, state } of states) {
      for (const { ErrorEquals } of state.Retry ?? []) {
        expect(ErrorEquals.filter((error) => /^States\.(ALL|TaskFailed)$/.test(error)), name).toEqual([])
      }
    }
  })

  test('Retry sits on the children of a Map: a retried Map would start over', () => {
    for (const { name, state } of states) if (state.Type === 'Map') expect(state.Retry, name).toBeUndefined()
  })

  test('each function has a state, and each state a function', () => {
    const used = new Set(tasks.map(({ state }) => /^\$\{(\w+)FunctionArn\}$/.exec(state.Resource ?? '')?.[1]?.toLowerCase()))
    const files = readdirSync(new URL('../../functions', import.meta.url)).map((file) => file.replace(/\.ts$/, ''))
    expect([...used].sort()).toEqual(files.sort())
  })
})
