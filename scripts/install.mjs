// Runs before `npm start`, `npm test`, `npm run dev` and `npm run cli`, and in a checkout before `npx taskmaster-reset`, on
// whatever Node the host has: installs the locked dependencies when they are missing or no longer those of package-lock.json.
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
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.installed-lock')
const lockfile = readFileSync(join(root, 'package-lock.json'))
const wanted = createHash('sha256').update(lockfile).digest('hex')
const isInstalled = () => (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) || isAsLocked()

if (!isInstalled() && isForbidden()) {
  process.stderr.write(
    'The packages in node_modules are not those of package-lock.json, and npm is told to run no scripts (ignore-scripts), which would install them. `node scripts/install.mjs` does it. Nothing was started.\n',
  )
  process.exitCode = 2
} else if (!isInstalled()) {
  // Of two commands that are started at once, one installs: in one folder, two would take each other's packages away.
  const giveBack = lock(join(root, '.installing'))
  try {
    if (!isInstalled()) install()
  } finally {
    giveBack()
  }
}

/** The program imports this; npm would run it as a script before a command, and heeds that nobody wants these. */
function isForbidden() {
  return basename(process.argv[1] ?? '') !== 'install.mjs' && process.env.npm_config_ignore_scripts === 'true'
}

/** Whether somebody ran npm ci: it leaves a list of what it installed, in the words of package-lock.json. */
function isAsLocked() {
  const list = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(list)) return false
  const { '': _, ...packages } = JSON.parse(String(lockfile)).packages
  const held = JSON.parse(readFileSync(list, 'utf8')).packages
  return Object.entries(packages).every(([path, one]) =>
    path in held ? isDeepStrictEqual(held[path], one) : one.optional && !isForThisMachine(one),
  )
}

/**
 * Those that name no system are needed by another that does. Of those for one C library it is not known here.
 * @param {{ os?: string[], cpu?: string[], libc?: string[] }} package
 */
function isForThisMachine({ os, cpu, libc }) {
  if (libc !== undefined || (os ?? cpu) === undefined) return false
  return (os?.includes(process.platform) ?? true) && (cpu?.includes(process.arch) ?? true)
}

function install() {
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
    process.exitCode = npm.status ?? 1
    return
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

/**
 * Waits until nobody alive holds the lock. Not in node_modules, which npm ci takes away.
 * @param {string} file holds the process id of who has it
 * @returns what gives it back
 */
function lock(file) {
  for (let said = false; ; said = true) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (isAbandoned(file)) rmSync(file, { force: true })
    else {
      if (!said) process.stderr.write('Another command is installing the dependencies; waiting for it …\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    }
  }
}

/** @param {string} file of a lock that is there, or was a moment ago */
function isAbandoned(file) {
  try {
    const holder = Number(readFileSync(file, 'utf8'))
    // Made and not yet written into: whoever made it writes at once.
    if (holder === 0) return Date.now() - statSync(file).mtimeMs > 10_000
    process.kill(holder, 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}
