/**
 * Does what a person asked for. What does not work is told on the page; anything but an error is a fault of ours.
 * @param onError is told at the beginning that there is none
 * @returns whether it worked
 */
export async function attempt(
  onError: (error: Error | undefined) => void,
  act: () => Promise<unknown>,
): Promise<boolean> {
  onError(undefined)
  try {
    await act()
    return true
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown
    onError(thrown)
    return false
  }
}
