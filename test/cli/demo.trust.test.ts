import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commandsOf, printedBelow } from '../documents/blocks.ts'
import { makeCheckout, paste } from '../support/checkout.ts'
import { hasRedis } from '../support/needs.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { endOf } from './run-script.ts'

/** Lines without what is different each time: times, ports, ids, sizes of what was compressed, and which Redis it is. */
function linesOf(text: string): string[] {
  return text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<run>')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-[0-9a-f]{6}/g, '<backup>')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g, '<time>')
    .replaceAll(/\b\d+\.\d\d s\b/g, '<seconds>')
    .replaceAll(/\b[\d.]+ KiB/g, '<size>')
    .replaceAll(/PostgreSQL \d+\.\d+/g, 'PostgreSQL')
    .replaceAll(/\b(redis|valkey)-server \d+\.\d+\.\d+/g, 'Redis')
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
    .replaceAll(/\b(redis|valkey)-server(?= on <address>)/g, 'Redis')
    .replaceAll(/\bioredis-mock \(.*?\)/g, 'Redis on <address>')
    .split('\n')
    .map((line) => line.trim().replaceAll(/\s+/g, ' '))
    .filter((line) => line !== '')
}

test.runIf(isFull)(
  `npm start resets a stack of its own in full, proves it, and leaves nothing behind; README shows what it prints ${inFullForm}`,
  async () => {
    const { folder, remove } = await makeCheckout()
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
      const [start] = commandsOf('README.md')
      if (start === undefined) throw new Error('README.md has no command to begin with')
      expect(start.text).toBe('npm start\n')
      const { code, stdout, stderr } = await endOf(paste(start.text, folder, { TMPDIR, ...given }))
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
      expect(stdout).toMatch(
        hasRedis
          ? /^Real: PostgreSQL \d+\.\d+, (redis|valkey)-server \d+\.\d+\.\d+\.$/m
          : /^Real: PostgreSQL \d+\.\d+\.\nImitated, .*: Neon's WebSocket front, Redis \(ioredis-mock\. Install/m,
      )
      expect(stdout).toMatch(/^Imitated, .*Amazon S3.*Step Functions/m)
      expect(stdout).toContain('Backup: s3://taskmaster-backups/.taskmaster/backups/')
      const shown = linesOf(printedBelow('README.md', start)).filter(
        (line) => line !== '…' && (hasRedis || !/^(Real|Imitated)/.test(line)),
      )
      expect(linesOf(stdout)).toEqual(expect.arrayContaining(shown))
      expect(shown.length).toBeGreaterThan(40)
      // npm itself keeps what Node compiled of it there, on a Node that does that.
      expect((await readdir(TMPDIR)).filter((name) => name !== 'node-compile-cache')).toEqual([])
    } finally {
      await rm(TMPDIR, { recursive: true, force: true })
      await remove()
    }
  },
)
