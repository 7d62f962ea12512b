// Runs before `npm start`, `npm test`, `npm run dev` and `npm run cli`, on whatever Node the host has:
// installs the locked dependencies when they are missing or no longer those of package-lock.json.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.installed-lock')
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const installed = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''

if (installed !== wanted) {
  process.stderr.write('Installing dependencies (npm ci), about a minute the first time …\n')
  const lent = isWritable(process.env.npm_config_cache)
    ? undefined
    : mkdtempSync(join(tmpdir(), 'taskmaster-npm-'))
  const npm = spawnSync('npm', ['ci'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
    // Packages that install others ask npm in their turn; what stands in the environment, all of them heed.
    env: lent === undefined ? process.env : { ...process.env, npm_config_cache: lent },
  })
  if (lent !== undefined) rmSync(lent, { recursive: true, force: true })
  if (npm.status !== 0) {
    process.stderr.write('npm ci failed; what it said stands above. Nothing was started.\n')
    process.exit(npm.status ?? 1)
  }
  writeFileSync(stamp, wanted)
}

/**
 * Whether npm can use its cache; in a home that nobody may write to, it would fail.
 * @param {string | undefined} cache as npm says it to the scripts it runs
 */
function isWritable(cache = join(homedir(), '.npm')) {
  try {
    mkdirSync(cache, { recursive: true })
    accessSync(cache, constants.W_OK)
    return true
  } catch {
    return false // it is npm's to say what else is wrong
  }
}
