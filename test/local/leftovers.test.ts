import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test, vi } from 'vitest'
import { isRunning } from '../../local/processes/sweep.ts'

type Started = { child: ChildProcess; lines: string[]; pids: number[]; folder: string }

const script = fileURLToPath(new URL('../support/stack-child.ts', import.meta.url))
const children: ChildProcess[] = []

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
})

async function startChild(): Promise<Started> {
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  await vi.waitFor(() => expect(lines).toHaveLength(1), 50_000)
  const { processes } = JSON.parse(lines[0]!) as { processes: { pids: number[]; folder: string } }
  expect(processes.pids.length).toBeGreaterThan(0)
  expect(processes.pids.every(isRunning)).toBe(true)
  expect(existsSync(processes.folder)).toBe(true)
  return { child, lines, ...processes }
}

async function expectNothingLeft({ pids, folder }: Started): Promise<void> {
  await vi.waitFor(
    () =>
      expect({ running: pids.filter(isRunning), folder: existsSync(folder) }).toEqual({
        running: [],
        folder: false,
      }),
    { timeout: 50_000, interval: 20 },
  )
}

test('nothing is left behind after Ctrl-C', async () => {
  const started = await startChild()
  started.child.kill('SIGINT')
  const [code] = await once(started.child, 'exit')
  expect(code).toBe(0)
  await expectNothingLeft(started)
})

test('nothing is left behind after SIGKILL', async () => {
  const started = await startChild()
  started.child.kill('SIGKILL')
  await once(started.child, 'exit')
  await expectNothingLeft(started)
})

test('a child that dies is reported by name, with its last lines, and nothing is left behind', async () => {
  const started = await startChild()
  process.kill(started.pids.at(-1)!, 'SIGKILL')
  await once(started.child, 'close') // and not 'exit', at which its output may be under way
  const { crash } = JSON.parse(started.lines[1]!) as { crash: string }
  expect(crash).toMatch(/^PostgreSQL has died \(SIGKILL\)\. Its last lines:\n {2}/)
  expect(crash).toContain('Start the stack again')
  await expectNothingLeft(started)
})
