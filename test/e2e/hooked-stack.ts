import { useResetStack } from './reset-stack.ts'

type Hook = (state: string, input: Record<string, unknown>) => unknown

/** A stack of which a test does something before the machine carries out a state. */
export function useHookedStack() {
  const none: Hook = () => {}
  let hook = none
  const reset = useResetStack({
    beforeTask: async (state, input) => {
      await hook(state, input as Record<string, unknown>)
    },
  })

  /** The hook is called before each state while `use` is under way. */
  async function withHook<Result>(asked: Hook, use: () => Promise<Result>): Promise<Result> {
    hook = asked
    try {
      return await use()
    } finally {
      hook = none
    }
  }

  /** Once, before the next time that the state is carried out. */
  function beforeNext(step: { state: string; act: (input: unknown) => Promise<void> }): void {
    hook = (state, input) => {
      if (state !== step.state) return
      hook = none
      return step.act(input)
    }
  }

  return { reset, withHook, beforeNext }
}
