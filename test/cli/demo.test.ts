import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runScript } from './run-script.ts'

test('npm start resets a stack of its own in full, proves it, and leaves nothing behind', {
  timeout: 100_000,
}, async () => {
  const TMPDIR = await mkdtemp(join(tmpdir(), 'demo-test-'))
  await chmod(TMPDIR, 0o711) // PostgreSQL runs as another user when we are root
  try {
    // What a shell may be configured with must not be touched, or even asked.
    const given = {
      DATABASE_URL: 'postgres://a:b@127.0.0.1:1/real',
      PROTECTED: 'true',
      MAX_ROWS: '1',
      STATE_MACHINE_ARN: 'arn:x',
    }
    const { code, stdout, stderr } = await runScript('demo', [], { env: { TMPDIR, ...given } })
    expect(stderr).toBe('')
    expect(code).toBe(0)
    for (const state of [
      'Count',
      'Export database',
      'Copy files',
      'Export cache',
      'Seal',
      'Wipe database',
      'Wipe files',
      'Wipe cache',
    ]) {
      expect(stdout).toMatch(new RegExp(`^✓ ${state} +\\d+\\.\\d\\d s$`, 'm'))
    }
    expect(stdout).toMatch(/database +5,390 rows in 7 tables +5,390 rows, [\d.]+ KiB zstd +5,390 rows/)
    expect(stdout).toMatch(/files +120 files, [\d.]+ KiB +120 files/)
    expect(stdout).toMatch(/cache +300 keys +300 keys, [\d.]+ KiB zstd +300 keys/)
    expect(stdout).toContain('✓ SELECT count(*) of 7 tables: 5,390 rows before, 0 after')
    expect(stdout).toContain('Backup: s3://taskmaster-backups/.taskmaster/backups/')
    expect(await readdir(TMPDIR)).toEqual([])
  } finally {
    await rm(TMPDIR, { recursive: true, force: true })
  }
})
