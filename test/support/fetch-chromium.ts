// `npm run chromium`: a Chromium for the tests of the page, out of the machine's own packages, installed nowhere.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { messageOf } from '../../lib/errors.ts'
import { assertFetches } from '../../local/packages/apt.ts'
import { fetchDebianPackages } from '../../local/packages/debian-packages.ts'
import { fetchOnce } from '../../local/packages/fetch-once.ts'
import { chromiumCache, chromiumOf } from './chromium.ts'

const limitMinutes = 15
const fetching = { path: process.env.PATH ?? '', deadline: Date.now() + limitMinutes * 60_000 }

/** Nothing of the machine's is set up for these packages, so their fonts are looked for where they were unpacked. */
const fonts = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">usr/share/fonts</dir><dir>/usr/share/fonts</dir></fontconfig>
`

try {
  if (chromiumOf(process.env) === undefined) {
    assertFetches(fetching.path)
    console.log('Fetching Chromium and what it needs from Debian packages, some 200 MB, 700 MB unpacked …')
    await fetchOnce({ cache: chromiumCache, deadline: fetching.deadline, holds: async () => false, fetch })
  }
  console.log(`The tests of the page use ${chromiumOf(process.env)}.`)
} catch (error) {
  console.error(`No Chromium could be fetched: ${messageOf(error)}.`)
  process.exitCode = 1
}

async function fetch(folder: string): Promise<void> {
  const wanted = {
    packages: ['chromium', 'fonts-dejavu-core'],
    program: 'usr/lib/chromium/chromium',
    environment: 'export FONTCONFIG_FILE="$root/fonts.conf"',
  }
  const executablePath = await fetchDebianPackages(wanted, folder, fetching)
  await writeFile(join(folder, 'root', 'fonts.conf'), fonts)
  const browser = await chromium.launch({ executablePath })
  await (await browser.newPage()).setContent('<h1>here</h1>')
  await browser.close()
}
