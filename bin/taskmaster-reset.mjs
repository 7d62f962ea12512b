#!/usr/bin/env node
// The command line as a program: in a checkout by its sources, in a package (`npm pack`) by what scripts/build-cli.ts bundled.
// JavaScript, because it is what finds out which Node runs it.
import { existsSync } from 'node:fs'

const sources = new URL('../local/cli.ts', import.meta.url)
const bundle = new URL('../dist/cli/cli.mjs', import.meta.url)

if (existsSync(sources)) {
  await import('../scripts/install.mjs') // says on stderr what it does, and how it failed
  if (process.exitCode) process.exit()
  await import('../local/quick-load.mjs') // on an older Node it goes on with the one that was installed, and ends with it
  await import(sources.href)
} else if (Number(process.versions.node.split('.')[0]) >= 24) await import(bundle.href)
else {
  process.stderr.write(
    `taskmaster-reset needs Node 24 or later, and runs on ${process.version}. With npx: npx -p node@24 -p <this package> taskmaster-reset …\n`,
  )
  process.exitCode = 2
}
