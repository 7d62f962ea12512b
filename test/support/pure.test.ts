import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { pureTests } from './pure.ts'

const folder = mkdtempSync(join(tmpdir(), 'taskmaster-pure-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a test needs no server exactly when nothing that it imports reaches one', () => {
  const files = {
    'reads.ts': `import { readFile } from 'node:fs/promises'`,
    'serves.ts': `import { createServer } from 'node:http'`,
    'passes-on.ts': `export {\n  serve,\n} from './serves.ts'`,
    'asks.ts': `import { describe, inject } from 'vitest'\nexport const url = inject('postgresAdminUrl')`,
    'one.ts': `import './other.ts'`,
    'other.ts': `import './one.ts'\nimport './serves.ts'`,
    'reads.test.ts': `import { test } from 'vitest'\nimport { read } from './reads.ts'`,
    'types.test.ts': `import type { Client } from 'pg'\nimport type { Server } from './serves.ts'\nimport 'pg-copy-streams'`,
    'serves.test.ts': `import {\n  serve,\n} from './passes-on.ts'`,
    'later.test.ts': `const { serve } = await import('./serves.ts')`,
    'asks.test.ts': `import { url } from './asks.ts'`,
    'back.test.ts': `import './other.ts'`,
    'circle.test.ts': `import './one.ts'`,
    'client.test.ts': `import pg, { type Client } from 'pg'`,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  expect(pureTests(join(folder, '*.test.ts')).map((file) => basename(file))).toEqual([
    'reads.test.ts',
    'types.test.ts',
  ])
})
