import type { Page, Route } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import type { Run } from '../../lib/http/answers/run.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import {
  compared,
  dryRun,
  emptyStatus,
  failedReset,
  goTo,
  longBackup,
  pageOfMany,
  protectedOnes,
  running,
  session,
  starting,
  status,
  tell,
  troubled,
  verified,
  warnedRestore,
} from './answers.ts'
import { choose, chromiumPath, oneLine, useConsole } from './console-stack.ts'

describe.skipIf(chromiumPath === undefined)('the web page, told by the API', () => {
  const console = useConsole()

  /** The page of a protected environment of which no run is told. */
  async function openProtected(): Promise<Page> {
    const page = await console.open()
    await tell(page, /\/v1\/session$/, session)
    await tell(page, /\/v1\/status$/, status)
    await tell(page, /\/v1\/runs\?/, { runs: [], next: null })
    await tell(page, /\/v1\/options$/, protectedOnes)
    return page
  }

  it.runIf(isFull)(
    `says all that it is told of the stores, and offers nothing that the token may not do ${inFullForm}`,
    async () => {
      const page = await console.open()
      const [gone, failed] = [503, 'The configuration of a\u202eb cannot be read']
      await tell(page, /\/v1\/session$/, { title: 'StoreUnavailable', status: gone, detail: failed }, gone)
      await tell(page, /\/v1\/runs\?/, { runs: [], next: null })
      await tell(page, /\/v1\/status$/, emptyStatus)
      await tell(page, /\/v1\/options$/, troubled)
      await page.getByLabel('Access token').fill('known')
      await page.keyboard.press('Enter')
      await page.getByRole('alert').getByText('The configuration of a\\u202eb cannot be read').waitFor()
      await tell(page, /\/v1\/session$/, session)
      await page.getByRole('button', { name: 'Sign in' }).click()

      await page.getByText('about 1,474 rows, about 12 files').waitFor()
      for (const name of [
        'users User 240 64.0 KiB keeps 4 rows',
        'secret not readable 10 B –',
        'logs about 1,234 10 B wiped',
      ])
        await page.getByRole('row', { name, exact: true }).waitFor()
      for (const text of [
        'PreservationConflict users is kept, and references logs',
        'Large objects stay',
        'A crash empties cached',
        'Not managed, so neither backed up nor wiped: public.__drizzle_migrations (bookkeeping of migrations), public.spatial (of an extension)',
        '47.1 KiB · s3://taskmaster-staging-files/generated_stories/ · 3 stay',
        'Cannot be read now. The cache did not answer within 1.8 s',
        'staging is not claimed yet.',
        'There are more tables than one answer holds',
        'The token "ci" may not do this: it lacks the scope "reset".',
      ])
        await expect.poll(() => page.locator('main').innerText().then(oneLine)).toContain(text)
      expect(await page.getByRole('button', { name: 'Claim …' }).count()).toBe(0)
      expect(await page.getByText('lacks the scope').count()).toBe(1)

      await tell(page, /\/v1\/options$/, protectedOnes)
      await page.getByRole('button', { name: 'Count again' }).click()
      await page.getByText('staging is protected.').waitFor()
      const shown = oneLine(await page.locator('main').innerText())
      expect(shown).toContain('1 file')
      expect(shown).toContain('· 1 stays')
      expect(shown).toContain('about 3,000 keys app:… · about 1,000 stay')
      expect(shown).toContain('There is no table yet.')
      expect(shown).not.toMatch(/not claimed|Cannot be read|more tables|Not managed/)
      expect(await page.getByRole('button', { name: 'Back up Everything' }).isEnabled()).toBe(true)
      const away = { available: false, reason: { name: 'StoreUnavailable', message: 'It is off' } }
      await tell(page, /\/v1\/options$/, { ...protectedOnes, database: away, files: away, cache: away })
      await page.getByRole('button', { name: 'Count again' }).click()
      await page.getByText('Cannot be read now.').nth(2).waitFor()
      await page.getByText('Version 1.2.3 · The token "ci" expires on 2027-01-01 00:00:00 UTC').waitFor()

      await page.clock.install()
      await tell(page, /\/v1\/session$/, { ...session, scopes: ['read', 'reset'] })
      await tell(page, /\/v1\/options$/, { ...protectedOnes, protected: false })
      await page.reload()
      await page.getByText('about 1,000 keys that are preserved').waitFor()
      const picture = page.getByRole('table', { name: /^What each store holds now/ })
      expect(oneLine(await picture.innerText())).toContain(
        'Store Now After a reset So Database 0 rows 0 rows 0 rows go Files 1 file 1 file 0 files go; 1 stays Cache about 3,000 keys about 1,000 keys about 2,000 keys go; about 1,000 stay',
      )
      await page.getByText('What stays: 1 file that is preserved and about 1,000 keys').waitFor()
      // What is confirmed is what is there: it is counted before, and again while the dialog is open.
      const refusal = { title: 'StoreUnavailable', status: 503, detail: 'It cannot be counted' }
      await tell(page, /\/v1\/options$/, refusal, 503)
      await page.getByRole('button', { name: 'Reset … Everything' }).click()
      const dialog = page.getByRole('dialog', { name: 'Reset staging: everything' })
      await dialog.getByText('It cannot be counted').waitFor()
      await dialog.getByText('Counting what is there …').waitFor()
      expect(await dialog.getByRole('button', { name: 'Back up and wipe' }).isDisabled()).toBe(true)
      await tell(page, /\/v1\/options$/, { ...protectedOnes, protected: false })
      await page.clock.runFor(2_100)
      const files = (objects: number) =>
        `Back up and wipe about 0 rows, about ${objects} files, about 2,000 keys`
      await dialog.getByRole('button', { name: files(0) }).waitFor()
      const more = { ...protectedOnes.files, objects: 9 }
      await tell(page, /\/v1\/options$/, { ...protectedOnes, protected: false, files: more })
      await page.clock.runFor(10_100)
      await dialog.getByRole('button', { name: files(8) }).waitFor()
    },
  )

  it.runIf(isFull)(
    `says at a glance how old the newest proved backup is, what comes next and how the nights went, and resets to a baseline ${inFullForm}`,
    async () => {
      const page = await console.open()
      await page.clock.install({ time: '2026-11-23T00:30:00Z' }) // it goes on: no hour ends soon
      await tell(page, /\/v1\/session$/, { ...session, scopes: ['read', 'reset', 'backup'] })
      await tell(page, /\/v1\/options$/, { ...protectedOnes, protected: false })
      await tell(page, /\/v1\/runs\?/, { runs: [], next: null })
      await tell(page, /\/v1\/status$/, status)
      await page.getByLabel('Access token').fill('known')
      await page.keyboard.press('Enter')
      const strip = page.getByRole('region', { name: 'Status' })
      await strip.waitFor()
      expect(oneLine(await strip.innerText())).toContain(
        'Last proved backup 5 hours ago Rehearsed. In time: the schedule takes one every 24 hours. Next run in 2 hours Reset, full, to baseline; 2026-11-23 03:00:00 UTC. Backups 31 2.9 GiB',
      )
      expect(await strip.getByRole('link', { name: '5 hours ago' }).getAttribute('href')).toContain(
        encodeURIComponent(status.lastProved?.backupId ?? ''),
      )
      const nights = strip.getByRole('list', { name: 'The last thirty nights' })
      expect(await nights.getByRole('listitem').count()).toBe(30)
      expect(await nights.getByRole('link').count()).toBe(29)
      // Each has a shape of its own.
      const shapes = await nights.locator('svg').evaluateAll((all) => all.map(({ innerHTML }) => innerHTML))
      expect(new Set(shapes).size).toBe(4)
      await nights.getByRole('link', { name: '2026-10-26: Reset to a backup, failed' }).waitFor()
      await strip.getByRole('img', { name: /up to 27\.7 MiB a day$/ }).waitFor()

      const nightly = {
        name: 'nightly',
        state: 'ENABLED',
        operation: 'reset',
        strategy: 'full',
        to: 'baseline',
      }
      const off = { ...nightly, name: 'off', state: 'DISABLED', operation: 'backup', to: null, next: [] }
      const when = { expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' }
      const next = ['2026-11-23T02:00:00.000Z', '2026-11-24T02:00:00.000Z']
      await tell(page, /\/v1\/schedules$/, {
        schedules: [
          { ...nightly, ...when, next },
          { ...off, ...when },
        ],
      })
      await strip.getByText('All schedules').click()
      await strip.getByText('Next: 2026-11-23 02:00:00 UTC, 2026-11-24 02:00:00 UTC.').waitFor()
      expect((await strip.locator('details li').allInnerTexts()).map(oneLine)).toEqual([
        'nightly Reset, full, to baseline cron(0 3 * * ? *) Europe/Berlin Next: 2026-11-23 02:00:00 UTC, 2026-11-24 02:00:00 UTC.',
        'off Backup, full cron(0 3 * * ? *) Europe/Berlin Switched off.',
      ])

      const standing = () => strip.locator('.figure svg').first().getAttribute('class')
      expect(await standing()).toBe('mark-of good')
      for (const [hours, says, mark] of [
        [24, 'One is overdue: the schedule takes one every 24 hours.', 'attention'],
        [24, 'More than one is missing: the schedule takes one every 24 hours.', 'failed'],
      ] as const) {
        await page.clock.fastForward(hours * 3_600_000)
        await strip.getByText(says).waitFor()
        expect(await standing()).toBe(`mark-of ${mark}`)
      }
      await strip.getByText('No time to look at the label before.').waitFor()
      await tell(page, /\/v1\/status$/, emptyStatus)
      await page.clock.runFor(61_000)
      await strip.getByText('No backup yet, and no schedule that takes one. ').waitFor()
      await strip.getByText('Nothing is scheduled.').waitFor()
      expect(await page.getByRole('radio', { name: 'To baseline' }).count()).toBe(0)

      await tell(page, /\/v1\/status$/, status)
      await page.clock.runFor(61_000)
      await choose(page, 'To baseline')
      const picture = page.getByRole('table', { name: /^What each store holds now/ })
      expect(oneLine(await picture.innerText())).toContain(
        'Database 0 rows 1,240 rows becomes what baseline holds Files 1 file 12 files becomes what baseline holds; 1 stays',
      )
      const sent = () => page.waitForRequest((request) => request.method() === 'POST')
      await tell(page, /\/v1\/runs$/, { runId: 'dry' }, 202)
      await tell(page, /\/v1\/runs\/dry$/, dryRun)
      const [dry] = await Promise.all([
        sent(),
        page.getByRole('button', { name: 'Dry run of Everything' }).click(),
      ])
      expect(dry.postDataJSON()).toEqual({
        operation: 'reset',
        dryRun: true,
        to: 'baseline',
        strategy: 'full',
      })
      await page.getByRole('link', { name: 'Overview' }).click()
      await choose(page, 'To baseline')
      await page.getByRole('button', { name: 'Reset … Everything' }).click()
      const dialog = page.getByRole('dialog', { name: 'Reset staging: everything' })
      await dialog
        .getByText('Then staging becomes what baseline holds, of 2026-11-22 19:05:33 UTC:')
        .waitFor()
      await dialog.getByText('Keys live on for as long as they had when it was taken.').waitFor()
      await choose(dialog, 'To zero')
      await dialog.getByText(/^Then what is there is wiped from staging/).waitFor()
      await choose(dialog, 'To baseline')
      await dialog.getByLabel('Type staging to confirm').fill('staging')
      const label = 'Back up, then go back to baseline: 1,240 rows, 12 files, 96 keys'
      const [real] = await Promise.all([sent(), dialog.getByRole('button', { name: label }).click()])
      expect(real.postDataJSON()).toEqual({
        ...{ operation: 'reset', strategy: 'full', confirm: 'staging', to: 'baseline' },
        toBackupId: status.labelled[0]?.backupId,
      })

      // A label that is taken away meanwhile must not make it a reset to zero.
      await page.getByRole('link', { name: 'Overview' }).click()
      await choose(page, 'To baseline')
      await page.getByRole('button', { name: 'Reset … Everything' }).click()
      await dialog.getByRole('button', { name: label }).waitFor()
      await tell(page, /\/v1\/status$/, emptyStatus)
      await page.clock.runFor(61_000)
      await dialog.getByText('There is no backup with the label baseline any more.').waitFor()
      expect(await dialog.getByRole('button', { name: 'Back up and wipe' }).isDisabled()).toBe(true)
    },
  )

  it.runIf(isFull)(
    `says all that it is told of backups, on all their pages, and what of them the token may not do ${inFullForm}`,
    async () => {
      const page = await openProtected()
      const { backupId } = longBackup
      const other = {
        ...longBackup,
        backupId: 'older',
        pinned: false,
        authentic: 'signed',
        rehearsedAt: null,
      }
      const broken = (...ids: string[]) => ids.map((id) => ({ backupId: id, reason: 'It is no JSON' }))
      await tell(page, /\/v1\/backups\?limit=50(&kept=true)?$/, {
        backups: [longBackup],
        unreadable: broken('cut', 'torn'),
        next: 'next one',
      })
      await tell(page, /\/v1\/backups\?limit=50(&kept=true)?&before=next\+one$/, {
        backups: [other],
        unreadable: broken('lost'),
        next: null,
      })
      await tell(page, /\/v1\/backups\/2026/, longBackup)
      await page.getByLabel('Access token').fill('known')
      await page.keyboard.press('Enter')
      await goTo(page, 'Backups')
      await page
        .getByRole('row', {
          name: /baseline .* 1,240 rows, 12 files, 96 keys.* Before a reset api:ci Rehearsed Unknown key Pinned .*UTC 93\.9 KiB$/,
        })
        .waitFor()
      await page
        .getByRole('row', { name: /1,240 rows, 12 files, 96 keys.* Read back .*UTC 93\.9 KiB$/ })
        .waitFor()
      for (const id of ['cut', 'torn', 'lost']) await page.getByText(`${id} cannot be read.`).waitFor()
      expect(await page.locator('.badge.good').allTextContents()).toEqual(['Rehearsed'])
      await expect.poll(() => page.title()).toBe('Backups · staging')
      expect(await page.locator('[aria-current=page]').allInnerTexts()).toEqual(['Backups'])
      // For the keyboard a new view begins at its top.
      await expect.poll(() => page.evaluate('document.activeElement.tagName')).toBe('MAIN')

      const kept = ['pinned', 'number 3 of the last 7 (full)']
      await tell(page, /\/v1\/backups\/[^/]*\?kept=true$/, { ...longBackup, kept })
      await page.getByRole('row').nth(1).getByRole('link').first().click()
      for (const text of [
        'All rows are of one moment, made so by exporting again what had changed.',
        'FilesVanished 2 files vanished',
        'KeysExpired 3 keys went',
        'Id 2026-11-22T19-05-33Z-3f9a2c',
        'Size 93.9 KiB',
        'It is signed with a key that is not known here.',
        'A pinned backup is never pruned or deleted.',
        'Retention Kept: pinned; number 3 of the last 7 (full).',
        'The token "ci" may not do all of this: it lacks restore and delete.',
        'The copies of the files are not listed here: files.jsonl.zst names them.',
        `There are more of them: GET /v1/backups/${backupId}?after=cache/00059.jsonl.zst`,
      ])
        await expect.poll(() => page.locator('main').innerText().then(oneLine)).toContain(text)
      const may = (name: string) => page.getByRole('button', { name, exact: true }).isEnabled()
      const names = ['Restore …', 'Verify', 'Verify and rehearse', 'Unpin', 'Delete …']
      expect(await Promise.all(names.map(may))).toEqual([false, true, true, false, false])
      const parts = page.getByRole('row', { name: /cache\/\d+\.jsonl\.zst 7 keys 2\.0 KiB/ })
      expect(await parts.count()).toBe(50)
      await page.getByRole('button', { name: 'Show more of 60 parts' }).click()
      expect(await parts.count()).toBe(60)

      await tell(page, /\/v1\/runs\/verifying$/, verified)
      await tell(page, /\/v1\/runs$/, { runId: 'verifying' }, 202)
      const sent = page.waitForRequest((request) => request.method() === 'POST')
      await page.getByRole('button', { name: 'Verify and rehearse' }).click()
      expect((await sent).postDataJSON()).toEqual({ operation: 'verify', backupId, rehearse: true })
      await page.getByRole('heading', { name: 'Verification' }).waitFor()
      // What it did to the stores is nothing: there is no outcome of them to show.
      expect(await page.getByRole('heading', { name: 'Outcome' }).count()).toBe(0)

      // Also of a backup that is not pinned: the scope that pins deletes nothing.
      await tell(page, /\/v1\/backups\/older$/, other)
      await page.goto(`${page.url().split('#')[0]}#/backups/older`)
      await page.getByRole('button', { name: 'Pin', exact: true }).waitFor()
      expect(await Promise.all(['Restore …', 'Pin', 'Delete …'].map(may))).toEqual([false, true, false])
    },
  )

  it.runIf(isFull)(
    `finds one of five hundred backups by its page, a word of its note, its strategy or its pin, and says of each why it was taken and is kept ${inFullForm}`,
    async () => {
      const page = await openProtected()
      const asked: string[] = []
      await page.route(/\/v1\/backups\?/, (route) => {
        asked.push(route.request().url().split('?')[1] ?? '')
        return route.fulfill({ json: pageOfMany(route.request().url()) })
      })
      await page.getByLabel('Access token').fill('known')
      await page.keyboard.press('Enter')
      await goTo(page, 'Backups')
      const rows = page.locator('tbody tr')
      await rows.nth(49).waitFor()
      expect(await rows.count()).toBe(50)
      expect(oneLine(await rows.first().innerText())).toMatch(
        /^2026-11-22 03:00:00 UTC .* · Everything · 1,240 rows, 12 files, 96 keys Kept: number 1 of the last 7 \(full\)\. Before a scheduled reset schedule Rehearsed 2026-11-22 03:00:00 UTC 976\.6 KiB$/,
      )
      expect(oneLine(await rows.nth(19).innerText())).toContain('Cache only')
      expect(oneLine(await rows.nth(19).innerText())).toContain(
        'Goes with the next prune. By hand api:ci Read back',
      )
      expect(await rows.nth(19).getByRole('link', { name: 'By hand' }).getAttribute('href')).toBe(
        '#/runs/run-19',
      )
      await page.getByRole('button', { name: 'Show older backups' }).click()
      await rows.nth(99).waitFor()
      expect(await rows.count()).toBe(100)

      await page.getByLabel('Search').fill('IMPORT of')
      await page.getByRole('row', { name: /2026-01-26 .* baseline After the import of January/ }).waitFor()
      expect(await rows.count()).toBe(1)
      // Words are looked for when they are typed, not at each letter; all pages are, whatever they leave out.
      expect(
        asked.filter((query) => query.includes('q=')).map((query) => /q=([^&]*)/.exec(query)?.[1]),
      ).toEqual([...['IMPORT+of', 'IMPORT+of', 'IMPORT+of']])
      await page.getByLabel('Search').fill('no such thing')
      await page.getByText('None of the backups is like that.').waitFor()
      await page.getByLabel('Search').fill('')
      await page.getByLabel('Strategy').selectOption('Cache only')
      await rows.nth(39).waitFor()
      for (const text of await rows.allInnerTexts()) expect(text).toContain('Cache only')
      await page.getByLabel('Strategy').selectOption('All')
      await page.getByLabel('Pinned only').check()
      await page.getByRole('row', { name: /^2025-10-18/ }).waitFor()
      expect(await rows.count()).toBe(1)
      await page.getByLabel('Pinned only').uncheck()
      await rows.nth(49).waitFor()

      const none = (next: string | null, unreadable: object[] = []) =>
        tell(page, /\/v1\/backups\?/, { backups: [], unreadable, next })
      await none(null)
      await goTo(page, 'History') // and what was shown of older ones is forgotten
      await goTo(page, 'Backups')
      await page.getByText('No backup yet. A reset takes one first').waitFor()
      // Of pages that end where reading takes too long twenty are asked for, and behind them there may be some.
      const older = '2026-01-26T03-00-00Z-aaaaaa'
      await none(older)
      await page.getByLabel('Pinned only').check()
      await page.getByText('None so far is like that. Older backups were not looked at yet.').waitFor()
      await page.getByLabel('Pinned only').uncheck()
      await page.getByText('None so far. Older backups were not looked at yet.').waitFor()
      await none(null, [{ backupId: older, reason: 'It is damaged.' }])
      await page.getByRole('button', { name: 'Show older backups' }).click()
      await page.getByText('None that can be read.').waitFor()
      await page.getByText(`${older} cannot be read.`).waitFor()
    },
  )

  it.runIf(isFull)(
    `says all that it is told of runs, asks when it is looked at again, and lets go of a token that is revoked ${inFullForm}`,
    async () => {
      const page = await console.open()
      await page.clock.install()
      await tell(page, /\/v1\/session$/, session)
      await tell(page, /\/v1\/status$/, status)
      await tell(page, /\/v1\/options$/, protectedOnes)
      await tell(page, /\/v1\/runs\?/, { runs: [running, failedReset, warnedRestore, dryRun], next: null })
      await page.getByLabel('Access token').fill('known')
      await page.keyboard.press('Enter')
      await page.getByText('Reset, full is running: Wipe database. Started').waitFor()
      await goTo(page, 'History')
      for (const name of [/^Reset, full .* running not said –$/, /^Restore .* from older .*api:ci 11\.8 s$/])
        await page.getByRole('row', { name }).waitFor()
      const badges = await page
        .locator('td .badge')
        .evaluateAll((all) => all.map(({ className }) => className))
      expect(badges).toEqual([...['badge active', 'badge failed', 'badge attention', 'badge plain']])

      let place = 0
      /** Shows a run, and gives all that is said of it. */
      async function said(run: Run, ready: string): Promise<string> {
        const id = `run-${place++}`
        const address = new RegExp(`/v1/runs/${id}$`)
        await tell(page, address, run)
        const told = page.waitForResponse(address) // until then the run before it may be shown
        await page.goto(`${page.url().split('#')[0]}#/runs/${id}`)
        await told
        await page.getByText(ready).first().waitFor()
        return oneLine(await page.locator('main').innerText())
      }
      const failed = await said(failedReset, 'S3 is away')
      for (const text of [
        'What was done before stays done: see database and files below.',
        'so it counted and backed up once more: attempt 2 of 3.',
        'Lists of this run are too long for one answer, and are cut here. Sums are whole.',
        'StoreUnavailable S3 is away',
        'KeysExpired 1 key went',
        'FilesVanished 4 files vanished',
        'The reset is not finished: database wiped, files partly wiped, cache untouched.',
        'The token "ci" may not do this: it lacks the scope "restore".',
        'wiped 1,240 rows in 2 tables: wiped, and in the backup.',
        'Backup: 2026-11-22T19-05-33Z-3f9a2c',
        'npx taskmaster-reset restore 2026-11-22T19-05-33Z-3f9a2c --confirm staging',
      ])
        expect(failed).toContain(text)
      expect(await page.getByRole('button', { name: 'Put it back …' }).isDisabled()).toBe(true)
      const stages = page.locator('.stage')
      expect(await stages.evaluateAll((all) => all.map(({ className }) => className))).toEqual([
        ...['stage done', 'stage done', 'stage done', 'stage stopped destructive', 'stage stopped'],
      ])
      await page.getByText('Rows by table').click()
      for (const name of ['public.a\\u202eb 1,000', 'public.c 240'])
        await page.getByRole('row', { name }).waitFor()

      expect(await said(warnedRestore, 'Safety backup: ')).toContain('by api:ci · from older')
      const difference = await said(compared, 'In the backup')
      expect(difference).toContain('The backup older was compared with what is there now.')
      expect(difference).toContain(
        'public.users 240 rows 239 rows would bring back 1 row and change back 2 rows',
      )
      expect(difference).not.toContain('Outcome')
      const dry = await said(dryRun, 'NO BACKUP would be taken first')
      expect(dry).toContain('users 240 rows would be wiped but for 4 rows')
      expect(dry).toContain('Left alone: the cache.')
      expect(dry).toContain(
        'Hooks are configured: those that are meant for it would be called before and after the reset;',
      )
      expect(dry).not.toMatch(/Put it back|Outcome/)
      await said(starting, 'The run is starting.')
      expect(await page.getByRole('button', { name: 'Cancel this run' }).count()).toBe(0)

      const before = await said(running, 'It is waiting for locks. Nothing is changed until it has them.')
      expect(before).toContain('The token "ci" may not cancel it: it lacks the scope "reset".')
      expect(before).toContain('Export database (done) 8.2 s · 1,240 rows')
      expect(before).toMatch(/Wipe database \(at work\) .*1,240 rows 3 of 7 parts Wipe files \(not begun\)/)
      expect(before).toMatch(/Running for \d+ h \d+ min\. It is waiting for locks\./)
      await expect.poll(() => page.title()).toBe('Running: Reset, full · staging')
      const icon = await page.locator('link[rel=icon]').getAttribute('href')
      expect(icon).toMatch(/^data:image\/svg\+xml,.*hsl\(/)
      const address = /\/v1\/runs\/run-5$/
      const look = (state: string) =>
        page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))`)
      await look('hidden')
      await page.evaluate(`fetch('/v1/session')`) // what was asked before has been told by then
      const asked = () => questions.filter((url) => address.test(url)).length
      const questions: string[] = []
      page.on('request', (request) => questions.push(request.url()))
      await page.clock.runFor(5_000)
      expect(asked()).toBe(0)
      const busy = { title: 'TooManyRequests', status: 429, detail: 'It is asked too often' }
      await tell(page, address, busy, 429)
      await look('visible')
      await page.getByRole('alert').getByText(busy.detail).waitFor()
      expect(await page.getByText('It is waiting for locks').count()).toBe(1)
      await tell(page, address, failedReset)
      await page.clock.runFor(2_100)
      const later = page.getByText('What was done before stays done')
      await later.waitFor()
      // An answer that comes after that to a later question is from before it.
      const departure = Promise.withResolvers<void>()
      const hold = async (route: Route) => {
        await departure.promise
        await route.fulfill({ json: running })
      }
      await page.route(address, hold, { times: 1 })
      const second = page.waitForResponse(address)
      await look('visible')
      await look('visible')
      await second
      const first = page.waitForResponse(address)
      departure.resolve()
      await (await first).finished()
      await page.clock.runFor(100)
      expect(await later.count()).toBe(1)

      const revoked = { title: 'Unauthorized', status: 401, detail: 'It was taken out of the list' }
      await tell(page, /\/v1\/runs\?/, revoked, 401)
      await page.clock.runFor(5_100)
      await page
        .getByRole('alert')
        .getByText(`does not know this token, or no longer. ${revoked.detail}`)
        .waitFor()
      expect(await page.evaluate('sessionStorage.length')).toBe(0)
    },
  )
})
