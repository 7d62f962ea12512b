import { ACCOUNT, REGION } from './arn.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A state of a definition in Amazon States Language; the fields that this code reads are checked where it reads them. */
export type State = {
  Type: string
  Resource?: string
  Branches?: Definition[]
  ItemProcessor?: Definition
  Iterator?: Definition
  [field: string]: unknown
}

export type Definition = {
  StartAt: string
  States: Record<string, State>
  TimeoutSeconds?: number
  ProcessorConfig?: { Mode?: string }
  [field: string]: unknown
}

/** Which function a Task calls, and whether through the `lambda:invoke` integration, which wraps input and result. */
type TaskTarget = { functionName: string; integrated: boolean }

// What the local engine would silently do differently; better that it refuses to start.
const UNKNOWN_FIELDS: Record<string, string> = {
  ItemReader: 'give the items as an array',
  ItemBatcher: 'make the batches before the Map',
  ResultWriter: 'write results in the children, and let each return little',
  Assign: 'pass values on as input',
  Arguments: 'use Parameters (JSONPath)',
  Output: 'use OutputPath or ResultSelector (JSONPath)',
  ToleratedFailureCountPath: 'use ToleratedFailureCount',
  ToleratedFailurePercentagePath: 'use ToleratedFailurePercentage',
}

/** Reads a definition in which `${CountFunctionArn}` stands for the function `count`. */
export function readDefinition(text: string): Definition {
  const filled = text.replace(/\$\{([A-Za-z0-9]+)\}/g, (placeholder, name: string) => {
    const word = /^([A-Z][A-Za-z0-9]*?)(?:Lambda)?(?:Function)?Arn$/.exec(name)?.[1]
    if (!word)
      throw new Error(
        `The state machine holds ${placeholder}, which has no meaning here: only ….FunctionArn has.`,
      )
    return `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${word[0]?.toLowerCase()}${word.slice(1)}`
  })
  return JSON.parse(filled) as Definition
}

/** Throws, naming the state, when the definition holds something that would run differently here than on AWS. */
export function assertRunsHere(definition: Definition, functions: string[]): void {
  if (definition.QueryLanguage === 'JSONata')
    throw new Error('The local state machine knows JSONPath, not JSONata.')
  for (const [name, state] of Object.entries(definition.States)) {
    if (state.QueryLanguage === 'JSONata')
      throw new Error(`State "${name}" uses JSONata; only JSONPath runs here.`)
    for (const [field, instead] of Object.entries(UNKNOWN_FIELDS)) {
      if (field in state)
        throw new Error(`State "${name}" has ${field}, which does not run here: ${instead}.`)
    }
    if (state.Type === 'Task') {
      const { functionName } = taskTarget(name, state)
      if (functionName !== '' && !functions.includes(functionName)) {
        throw new Error(
          `State "${name}" calls the function "${functionName}", but there are only: ${functions.join(', ') || 'none'}.`,
        )
      }
    }
    for (const part of parts(state)) assertRunsHere(part, functions)
  }
}

/** The definitions inside a state: the branches of a Parallel, the processor of a Map. */
function parts(state: State): Definition[] {
  return [...(state.Branches ?? []), state.ItemProcessor, state.Iterator].filter((part) => part !== undefined)
}

export function taskTarget(stateName: string, state: State): TaskTarget {
  const resource = state.Resource ?? ''
  if (resource === 'arn:aws:states:::lambda:invoke') {
    const parameters = (state.Parameters ?? {}) as { FunctionName?: string }
    return { functionName: functionNameOf(parameters.FunctionName ?? ''), integrated: true }
  }
  if (/^arn:[^:]+:lambda:/.test(resource))
    return { functionName: functionNameOf(resource), integrated: false }
  throw new Error(
    `State "${stateName}" calls ${resource || 'nothing'}; only Lambda functions can be called here.`,
  )
}

/** `arn:aws:lambda:region:account:function:name[:alias]`, or the name alone. */
function functionNameOf(reference: string): string {
  return reference.includes(':') ? (reference.split(':')[6] ?? '') : reference
}
