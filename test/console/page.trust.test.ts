import { createHash } from 'node:crypto'
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { bytes, counted } from '../../lib/amounts.ts'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import { totalOf } from '../../local/database/store.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { withDigest } from '../support/signing.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { goTo } from './answers.ts'
import { choose, chromiumPath, oneLine, tokenOf, useConsole } from './console-stack.ts'

describe.skipIf(chromiumPath === undefined)('the web page in a browser', () => {
  const console = useConsole()

  it('opens with a token that is known, keeps it for the tabs of the page, and forgets it when one signs out', async () => {
    const page = await console.signIn('admin')
    await page.reload()
    await page.getByRole('heading', { name: 'What is there' }).waitFor()
    await page.getByText('The token "admin" never expires').waitFor()
    await expect(page.getByRole('row', { name: /users/ }).innerText()).resolves.toMatch(/User\s+20\b/)
    const another = await page.context().newPage()
    await another.goto(page.url())
    await another.getByRole('heading', { name: 'What is there' }).waitFor()
    // It lies in no place that the next visit could read.
    expect(await page.context().cookies()).toEqual([])
    expect(await another.evaluate('localStorage.length')).toBe(0)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await another.getByText('Another tab of this page has signed out.').waitFor()
    for (const one of [page, another]) {
      await one.reload()
      await one.getByLabel('Access token').waitFor()
    }
    await expect.poll(() => page.evaluate(`document.activeElement.type`)).toBe('password')
  })

  it('says that a token is not known, and stays closed', async () => {
    const page = await console.open()
    await page.getByLabel('Access token').fill('mistyped')
    await page.keyboard.press('Enter')
    await expect(page.getByRole('alert').innerText()).resolves.toContain('does not know this token')
    expect(await page.getByRole('navigation').count()).toBe(0)
  })

  it.runIf(isFull)(`says of a token that has expired when that was ${inFullForm}`, () => {
    const sha256 = createHash('sha256').update(tokenOf('guest')).digest('hex')
    const guest = { name: 'guest', sha256, scopes: ['read'], expiresAt: '2026-01-01T00:00:00.000Z' }
    return withVariables({ API_TOKENS: JSON.stringify([guest]) }, async () => {
      const page = await console.open()
      await page.getByLabel('Access token').fill(tokenOf('guest'))
      await page.keyboard.press('Enter')
      await page.getByRole('alert').getByText('The token "guest" expired at 2026-01-01').waitFor()
    })
  })

  it.runIf(isFull)(
    `offers a token that may only read nothing that changes anything, and says why ${inFullForm}`,
    async () => {
      const page = await console.signIn('viewer')
      await page.getByText('it lacks the scope "reset"').waitFor()
      await page.getByText('The token "viewer" expires on 2099-01-01 00:00:00 UTC').waitFor()
      for (const name of ['Reset … Everything', 'Dry run of Everything', 'Back up Everything'])
        expect(await page.getByRole('button', { name }).isDisabled()).toBe(true)
    },
  )

  it.runIf(isFull)(
    `shows the size of all files once, also of those that are preserved ${inFullForm}`,
    async () => {
      const { files } = await console.ask('GET', '/options')
      await withVariables({ PRESERVE_FILES: 'session-' }, async () => {
        const kept = (await console.ask('GET', '/options')).files
        expect(kept).toMatchObject({ bytes: files.bytes, preservedBytes: files.bytes })
        const page = await console.signIn('viewer')
        await page.getByText(`${bytes(files.bytes)} · s3://`).waitFor()
      })
    },
  )

  it.runIf(isFull)(
    `shows in a dry run what a reset would do, and changes nothing ${inFullForm}`,
    async () => {
      const before = await console.count()
      const page = await console.signIn('admin')
      await page.getByRole('button', { name: 'Dry run of Everything' }).click()
      await page.getByText('Counted and planned; nothing was written.').waitFor()
      for (const [table, rows] of Object.entries(before.rows)) {
        const name = `${table.replace('public.', '')} ${counted(rows, 'row')} would be wiped`
        await page.getByRole('row', { name, exact: true }).waitFor()
      }
      await page.getByText('dry run: would run', { exact: true }).waitFor()
      await page
        .getByText(/^First a backup .* loaded into a scratch schema.* without it nothing would be wiped/)
        .waitFor()
      expect(await page.getByText('Put it back').count()).toBe(0)
      expect(await console.count()).toEqual(before)
      expect(await console.ask('GET', '/backups')).toMatchObject({ backups: [] })
    },
  )

  it('starts nothing when another name is typed, and gives the focus back when the dialog is closed', async () => {
    const { runs } = await console.ask('GET', '/runs')
    const page = await console.signIn('admin')
    const opener = page.getByRole('button', { name: 'Reset … Everything' })
    await opener.click()
    const dialog = page.getByRole('dialog', { name: 'Reset local: everything' })
    await dialog.getByText(/What stays|Nothing of these stores stays/).waitFor()
    // Whose stores these are can be seen before the name is typed.
    const { where } = await console.ask('GET', '/session')
    const places = oneLine(await dialog.getByLabel('Where local is').innerText())
    expect(places).toBe(
      `Database ${where.database} Cache ${where.cache} Files ${where.files} Backups ${where.backups}`,
    )
    // Neither another name, nor the beginning of it, nor another spelling, nor more than it.
    for (const typed of ['production', 'loc', 'l', 'Local', 'LOCAL', 'locale', 'local local']) {
      await dialog.getByLabel('Type local to confirm').fill(typed)
      await page.keyboard.press('Enter')
      await dialog.getByRole('alert').getByText(`"${typed}" was typed`).waitFor()
    }
    expect((await console.ask('GET', '/runs')).runs).toHaveLength(runs.length)
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    expect(await opener.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true)
  })

  it.runIf(isFull)(
    `resets with the name typed, shows how it goes, and puts everything back from the backup ${inFullForm}`,
    async () => {
      const before = await console.count()
      const page = await console.signIn('admin')
      await page.getByRole('button', { name: 'Reset … Everything' }).click()
      const rows = totalOf(before.rows)
      const { objects } = before.files
      const label = `Back up and wipe ${rows} rows, ${objects} files, ${before.keys} keys`
      await page.getByRole('button', { name: label }).waitFor()
      const pause = console.hold('Copy files batch')
      await page.keyboard.type('local')
      await page.getByRole('button', { name: label }).click()
      await page.getByText(/stage 2 of 5/).waitFor()
      expect(await page.locator('[aria-current=step]').allInnerTexts()).toHaveLength(3)
      const cancel = page.getByRole('button', { name: 'Cancel this run' })
      expect(await cancel.isEnabled()).toBe(true)
      const end = console.hold('Wipe cache')
      pause.release()
      await page.getByText(/^Too late to cancel: wiping has begun, and is at the files\./).waitFor()
      expect(await cancel.isDisabled()).toBe(true)
      end.release()
      await page.getByText(/^Succeeded after/).waitFor()
      await page.getByText(`${rows} rows in 7 tables: wiped, and in the backup.`).waitFor()
      const after = await console.count()
      expect([totalOf(after.rows), after.files.objects, after.keys]).toEqual([0, 0, 0])

      // The way back is one button away, and asks for the name like every other.
      await page.getByRole('button', { name: 'Put it back …' }).click()
      const dialog = page.getByRole('dialog', { name: 'Restore into local' })
      await dialog.getByLabel('Type local to confirm').fill('loc')
      await page.keyboard.press('Enter')
      await dialog.getByText('"loc" was typed').waitFor()
      await dialog.getByLabel('Type local to confirm').fill('local')
      const restore = `Back up, then put back ${rows} rows, ${objects} files, ${before.keys} keys`
      await dialog.getByRole('button', { name: restore }).click()
      await page.getByText(`${rows} rows in 7 tables: put back.`).waitFor()
      expect(await console.count()).toEqual(before)

      await goTo(page, 'History')
      await page.getByRole('row', { name: /^Restore .* succeeded api:admin/ }).waitFor()
      await page.getByRole('row', { name: /^Reset, full .* succeeded api:admin/ }).waitFor()
    },
  )

  it.runIf(isFull)(
    `resets what the card says and nothing else; a restore with nothing ticked leaves what came later ${inFullForm}`,
    async () => {
      const before = await console.count()
      const page = await console.signIn('admin')
      await choose(page, 'Cache only')
      await page.getByRole('button', { name: 'Reset … Cache only' }).click()
      const reset = page.getByRole('dialog', { name: 'Reset local: cache only' })
      await reset.getByRole('button', { name: `Back up and wipe ${before.keys} keys` }).waitFor()
      await reset.getByLabel('Type local to confirm').fill('local')
      await page.keyboard.press('Enter')
      await page.getByText(/^Succeeded after/).waitFor()
      await page.getByRole('heading', { name: 'Reset, cache-only' }).waitFor()
      expect(await console.count()).toEqual({ ...before, keys: 0 })

      await console.stack.redis.set('taskmaster:came:later', 'stays')
      await page.getByRole('link', { name: /^\d{4}-/ }).click()
      await page.getByRole('button', { name: 'Restore …' }).click()
      const restore = page.getByRole('dialog', { name: 'Restore into local' })
      const extras = restore.getByLabel('Remove cache keys that are not in the backup')
      expect(await extras.isChecked()).toBe(false)
      await restore.getByLabel('Type local to confirm').fill('local')
      await restore.getByRole('button', { name: `Back up, then put back ${before.keys} keys` }).click()
      await page.getByText(`${before.keys} keys: put back.`).waitFor()
      expect(await console.stack.redis.get('taskmaster:came:later')).toBe('stays')

      await console.stack.redis.del('taskmaster:came:later')
      expect(await console.count()).toEqual(before)
    },
  )

  it.runIf(isFull)(
    `puts back what is ticked, and a backup of another environment only after that was ticked, too ${inFullForm}`,
    () =>
      withVariables({ ENVIRONMENT: 'other' }, async () => {
        const { backups } = await console.ask('GET', '/backups')
        const { backupId } = backups.find((one: BackupAnswer) => one.rows !== null && one.files !== null)
        const page = await console.open()
        await page.getByLabel('Access token').fill(tokenOf('admin'))
        await page.getByRole('button', { name: 'Sign in' }).click()
        await page.getByRole('heading', { level: 1, name: 'other' }).waitFor()
        await page.goto(`${page.url().split('#')[0]}#/backups/${backupId}`)
        await page.getByRole('button', { name: 'Restore …' }).click()
        const dialog = page.getByRole('dialog', { name: 'Restore into other' })
        const confirm = dialog.getByRole('button', { name: /^Back up, then put back/ })
        await dialog.getByText('The backup is of local, not of other.').waitFor()
        await dialog.getByText('It can be cancelled until rows are replaced.').waitFor()
        await dialog.getByLabel('Type other to confirm').fill('other')
        expect(await confirm.isDisabled()).toBe(true)
        await dialog.getByLabel('This is a backup of local; put it into other all the same').check()
        await dialog.getByLabel('Files', { exact: true }).uncheck()
        await dialog.getByLabel('Remove cache keys that are not in the backup').check()
        const sent = page.waitForRequest((request) => request.method() === 'POST')
        await confirm.click()
        expect((await sent).postDataJSON()).toMatchObject({
          operation: 'restore',
          targets: ['database', 'cache'],
          allowForeign: true,
          exact: true,
          confirm: 'other',
        })
        // The stores carry the name of the first one.
        await dialog
          .getByRole('alert')
          .getByText(/belongs to the environment "local"/)
          .waitFor()
      }),
  )

  it.runIf(isFull)(
    `shows what a backup holds beside what is there now, and row by row what a restore would change, when it is asked ${inFullForm}`,
    async () => {
      const link = await console.finish({ operation: 'backup', strategy: 'full' })
      const before = await console.count()
      const { sql, redis } = console.stack
      await sql.query('CREATE TABLE later (id int)')
      await sql.query('DELETE FROM audit_logs WHERE ctid IN (SELECT ctid FROM audit_logs LIMIT 7)')
      await sql.query(`UPDATE users SET email = 'x' || email WHERE id IN (SELECT id FROM users LIMIT 3)`)
      await redis.set('taskmaster:came:later', 'x')
      const page = await console.signIn('admin')
      await goTo(page, 'Backups')
      await page.locator(link).click()
      await page.getByRole('button', { name: 'Restore …' }).click()
      const dialog = page.getByRole('dialog', { name: 'Restore into local' })
      const line = (name: string) => dialog.getByRole('row', { name, exact: true }).waitFor()
      await line('audit_logs AuditLog 100 rows 93 rows 7 fewer rows now')
      await line('users User 20 rows 20 rows as many')
      await line('later none 0 rows not in the backup')
      await line('Files 12 files 12 files as many')
      await line(`Cache ${before.keys} keys ${before.keys + 1} keys 1 more key now`)
      // Of what is preserved nothing is said where nothing is.
      expect(await dialog.innerText()).not.toMatch(/would keep|preserved/)

      const pause = console.hold('Diff database')
      await dialog.getByRole('button', { name: 'Compare row by row' }).click()
      await dialog.getByText('It is being compared; one run at a time.').waitFor()
      expect(await dialog.getByRole('button', { name: /^Back up, then/ }).isDisabled()).toBe(true)
      pause.release()
      await dialog.getByText('Compared by a dry run just now; nothing was changed.').waitFor()
      await line('audit_logs AuditLog 100 rows 93 rows would bring back 7 rows')
      await line('users User 20 rows 20 rows would change back 3 rows')
      await line(
        `Cache ${before.keys} keys ${before.keys + 1} keys would leave 1 key that the backup has not`,
      )
      await line('Files 12 files 12 files is as it was')
      // What was compared is no longer what would be done.
      await dialog.getByLabel('Remove files and cache keys that are not in the backup').check()
      await dialog.getByText('These are counts.').waitFor()
      await dialog.getByLabel('Type local to confirm').fill('local')
      await page.keyboard.press('Enter')
      await page.getByText(/^Succeeded after/).waitFor()
      await sql.query('DROP TABLE later')
      expect(await console.count()).toEqual(before)
    },
  )

  it.runIf(isFull)(
    `marks a backup that nobody signed, and one of another environment; puts it back only after both were ticked, and pins and downloads it not at all ${inFullForm}`,
    async () => {
      await console.finish({ operation: 'backup', strategy: 'full', rehearse: false })
      await withVariables({ ENVIRONMENT: 'other' }, async () => {
        const { backups } = await console.ask('GET', '/backups')
        const { backupId } = backups.find((one: BackupAnswer) => one.rows !== null && one.files !== null)
        const { s3, env } = console.stack
        const place = {
          Bucket: env.BACKUP_BUCKET ?? '',
          Key: `${env.BACKUP_PREFIX ?? '.taskmaster/backups/'}${backupId}/manifest.json`,
        }
        const { Body } = await s3.send(new GetObjectCommand(place))
        const real = (await Body?.transformToString()) ?? ''
        const { digest: _, signature: __, ...manifest } = JSON.parse(real)
        await s3.send(new PutObjectCommand({ ...place, Body: JSON.stringify(withDigest(manifest)) }))

        const page = await console.open()
        await page.getByLabel('Access token').fill(tokenOf('admin'))
        await page.getByRole('button', { name: 'Sign in' }).click()
        await page.getByRole('heading', { level: 1, name: 'other' }).waitFor()
        await page.goto(`${page.url().split('#')[0]}#/backups/${backupId}`)
        await page.getByText('Unsigned', { exact: true }).waitFor()
        for (const name of ['Pin', 'Download manifest.json']) {
          await page.getByRole('button', { name }).click()
          await page
            .getByRole('alert')
            .getByText(/is of the environment "local", and this is "other"/)
            .waitFor()
          await page.reload()
        }
        await page.getByRole('button', { name: 'Restore …' }).click()
        const dialog = page.getByRole('dialog', { name: 'Restore into other' })
        const confirm = dialog.getByRole('button', { name: /^Back up, then put back/ })
        await dialog.getByLabel('Type other to confirm').fill('other')
        await dialog.getByLabel('This is a backup of local; put it into other all the same').check()
        await dialog.getByText('Nobody known here signed the backup.').waitFor()
        expect(await confirm.isDisabled()).toBe(true)
        await dialog.getByLabel(/It carries no signature\..* I know where it comes from/).check()
        const sent = page.waitForRequest((request) => request.method() === 'POST')
        await confirm.click()
        expect((await sent).postDataJSON()).toMatchObject({ allowForeign: true, allowUnsigned: true })
        await s3.send(new PutObjectCommand({ ...place, Body: real }))
      })
    },
  )

  it.runIf(isFull)('pins, verifies, downloads and deletes backups (full form)', async () => {
    const link = await console.finish({ operation: 'backup', strategy: 'cache-only' })
    const page = await console.signIn('admin')
    await goTo(page, 'Backups')
    await page
      .getByRole('row', { name: /30 keys/ })
      .locator(link)
      .click()
    await page.getByRole('button', { name: 'Pin' }).waitFor()
    const address = page.url()
    await page.getByRole('button', { name: 'Pin' }).click()
    await page.getByText('A pinned backup is never pruned or deleted.').waitFor()
    expect(await page.getByRole('button', { name: 'Delete …' }).isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Unpin' }).click()
    const asked = page
      .context()
      .waitForEvent('request', (request) => request.url().includes('X-Amz-Signature'))
    await page.getByRole('button', { name: 'Download manifest.json' }).click()
    const manifest = await (await fetch((await asked).url())).json()
    expect(manifest).toMatchObject({
      version: 2,
      backupId: decodeURIComponent(address.split('/').at(-1) ?? ''),
    })
    const part = page.waitForResponse((answer) => answer.url().includes('/parts/cache%2F'))
    await page.getByRole('button', { name: 'Download cache/00000.jsonl.zst' }).click()
    expect((await part).status()).toBe(200)
    await page.getByRole('button', { name: 'Verify', exact: true }).click()
    const id = decodeURIComponent(address.split('/').at(-1) ?? '')
    await page
      .getByText(new RegExp(`^Succeeded after .* The backup ${id} was read, \\d+ objects?, .*: every object`))
      .waitFor()
    await page.goto(address)
    await page.getByRole('button', { name: 'Delete …' }).click()
    await page.getByText(/^Pinned backups and those in use are refused/).waitFor()
    await page.getByLabel('Type local to confirm').fill('local')
    const button = page.getByRole('button', { name: /^Delete the backup of/ })
    await button.click()
    await expect(page.getByRole('alert').innerText()).resolves.toContain('the newest cache-only backup')
    await console.finish({ operation: 'backup', strategy: 'cache-only' })
    await button.click()
    await page.getByText(/^Succeeded after/).waitFor()
    await page.goto(address)
    await expect(page.getByRole('alert').innerText()).resolves.toContain('There is no sealed backup')
  })

  it.runIf(isFull)(
    `shows older runs below the newer ones, page after page, each once ${inFullForm}`,
    async () => {
      await console.stack.admin.query(
        `INSERT INTO taskmaster_reset.runs (run_id, operation, request_digest, status, phase, started_at, finished_at)
       SELECT 'older-' || i, 'claim', '', 'succeeded', 'Finish', now() - make_interval(days => i), now() - make_interval(days => i)
       FROM generate_series(1, 60) i`,
      )
      const page = await console.signIn('viewer')
      await goTo(page, 'History')
      const more = page.getByRole('button', { name: 'Show older runs' })
      const { runs } = await console.ask('GET', '/runs?limit=200')
      for (let shown = 50; shown < runs.length + 25; shown += 25) {
        await more.click()
        await page.getByRole('row').nth(Math.min(shown, runs.length)).waitFor() // one is the heading
        expect(await page.getByRole('row').count()).toBe(1 + Math.min(shown, runs.length))
      }
      expect(await more.count()).toBe(0)
      const times = page.locator('tbody time')
      expect(await times.evaluateAll((all) => all.map((one) => one.getAttribute('datetime')))).toEqual(
        runs.map(({ startedAt }: Run) => startedAt),
      )
      await console.stack.admin.query(`DELETE FROM taskmaster_reset.runs WHERE starts_with(run_id, 'older-')`)
    },
  )

  it.runIf(isFull)(
    `shows the run that is active, lets nobody start another, and cancels it while that is possible ${inFullForm}`,
    async () => {
      const page = await console.signIn('admin')
      await choose(page, 'Cache only')
      await page.getByRole('button', { name: 'Reset … Cache only' }).click()
      await page.getByRole('button', { name: /^Back up and wipe \d+ keys$/ }).waitFor()
      const pause = console.hold('Export cache batch')
      const { runId } = await console.ask('POST', '/runs', { operation: 'backup', strategy: 'full' })
      await pause.reached // before, it may not be in the ledger yet
      await page.keyboard.type('local')
      await page.keyboard.press('Enter')
      const refusal = page.getByRole('dialog').getByRole('alert')
      await expect(refusal.innerText()).resolves.toContain(runId)
      await refusal.getByRole('link', { name: 'Watch the active run' }).click()
      const reader = await console.signIn('viewer')
      await reader.goto(page.url())
      await reader.getByText('The token "viewer" may not cancel it: it lacks the scope "backup".').waitFor()
      expect(await reader.getByRole('button', { name: 'Cancel this run' }).isDisabled()).toBe(true)
      const cancel = page.getByRole('button', { name: 'Cancel this run' })
      const busy = { title: 'DatabaseBusy', status: 503, detail: 'The row of the run is locked' }
      await page.route('**/cancel', (route) => route.fulfill({ status: 503, json: busy }), { times: 1 })
      await cancel.click()
      await page.getByRole('alert').getByText(busy.detail).waitFor()
      await cancel.click()
      await page.getByText(/^Cancelled after .*, before anything was changed\.$/).waitFor()
      pause.release()
    },
  )

  it.runIf(isFull)(
    `counts again when a run has ended that somebody started elsewhere ${inFullForm}`,
    async () => {
      const { keys } = await console.count()
      const page = await console.signIn('viewer')
      await page
        .getByText(new RegExp(`\\b${keys} keys\\b`))
        .first()
        .waitFor()
      await page.clock.install()
      const pause = console.hold('Export cache batch')
      const run = console.finish({ operation: 'backup', strategy: 'cache-only' })
      await pause.reached
      await page.reload()
      await page.getByText('Backup, cache-only is running').waitFor()
      await page
        .getByText(new RegExp(`\\b${keys} keys\\b`))
        .first()
        .waitFor()
      await console.stack.redis.set('taskmaster:came:later', 'x')
      pause.release()
      await run
      await page.clock.runFor(6_000)
      await page
        .getByText(new RegExp(`\\b${keys + 1} keys\\b`))
        .first()
        .waitFor()
      await console.stack.redis.del('taskmaster:came:later')
    },
  )

  it.runIf(isFull)(
    `shows what came while the backups were looked at, also what cannot be read, and why older runs cannot be had ${inFullForm}`,
    async () => {
      await console.finish({ operation: 'backup', strategy: 'cache-only' })
      const page = await console.signIn('viewer')
      await page.clock.install()
      await goTo(page, 'Backups')
      const listed = page.getByRole('row')
      await listed.first().waitFor()
      const before = await listed.count()
      const { s3, env } = console.stack
      const broken = '2026-01-01T00-00-00Z-ffffff'
      const place = { Bucket: env.BACKUP_BUCKET ?? '', Key: `.taskmaster/backups/${broken}/manifest.json` }
      await s3.send(new PutObjectCommand({ ...place, Body: '{' }))
      await console.finish({ operation: 'backup', strategy: 'cache-only' })
      await page.clock.runFor(31_000)
      await listed.nth(before).waitFor()
      await page.getByText(`${broken} cannot be read.`).waitFor()
      await s3.send(new DeleteObjectCommand(place))
      await listed.nth(1).getByRole('link').first().click()
      for (const name of ['Download manifest.json', 'Restore …', 'Pin', 'Delete …'])
        expect(await page.getByRole('button', { name }).isDisabled(), name).toBe(true)

      const busy = { title: 'StoreUnavailable', status: 503, detail: 'The database is not there' }
      const older = { runs: [], next: 'older' }
      await page.route('**/v1/runs?*', (route) =>
        route.request().url().includes('before=')
          ? route.fulfill({ status: 503, json: busy })
          : route.fulfill({ json: older }),
      )
      await goTo(page, 'History')
      await page.getByRole('button', { name: 'Show older runs' }).click()
      await page.getByRole('alert').getByText(busy.detail).waitFor()
    },
  )

  it.runIf(isFull)(
    `labels a backup and notes what it is, goes back to it by its label, and takes the label away ${inFullForm}`,
    async () => {
      const link = await console.finish({ operation: 'backup', strategy: 'full', rehearse: false })
      const before = await console.count()
      const page = await console.signIn('admin')
      await goTo(page, 'Backups')
      await page.locator(link).click()
      await page.getByRole('button', { name: 'Label …' }).click()
      const names = page.getByRole('dialog', { name: 'Label and note' })
      await names.getByLabel('Label', { exact: true }).fill('Latest!')
      await names.getByRole('button', { name: 'Save' }).click()
      await names.getByRole('alert').getByText(/label/).waitFor()
      await names.getByLabel('Label', { exact: true }).fill('baseline')
      await names.getByLabel('Note').fill('As it is shown to guests')
      await page.keyboard.press('Enter')
      await names.waitFor({ state: 'detached' })
      await page.getByText('A backup with a label is never pruned or deleted.').waitFor()
      await page.getByText('As it is shown to guests').waitFor()
      await page.getByText('By hand, by api:admin').waitFor()

      await console.stack.sql.query('DELETE FROM audit_logs')
      await console.stack.redis.set('taskmaster:came:later', 'x')
      await page.getByRole('link', { name: 'Overview' }).click()
      await choose(page, 'To baseline')
      await page.getByRole('button', { name: 'Reset … Everything' }).click()
      await page.getByRole('dialog').getByText('Counted at').waitFor()
      await page.keyboard.type('local')
      await page.keyboard.press('Enter')
      await page.getByText(/^Succeeded after/).waitFor()
      expect(await console.count()).toEqual(before)

      await goTo(page, 'Backups')
      await page.getByLabel('Search').fill('guests')
      await page
        .getByRole('row', { name: /baseline As it is shown to guests/ })
        .getByRole('link')
        .first()
        .click()
      await page.getByRole('button', { name: 'Label …' }).click()
      await names.getByRole('button', { name: 'Take the label away' }).click()
      await page.getByText('A backup with a label').waitFor({ state: 'detached' })
    },
  )

  it.runIf(isFull)(
    `follows an address that changes before it listens, and goes on from it ${inFullForm}`,
    async () => {
      const page = await console.open()
      // Between the moment that the page is drawn, and the one at which it can be told.
      await page.evaluate(`{
      const add = window.addEventListener
      window.addEventListener = (name, ...rest) => {
        if (name === 'hashchange') history.replaceState(null, '', '#/runs')
        add.call(window, name, ...rest)
      }
    }`)
      await page.getByLabel('Access token').fill(tokenOf('viewer'))
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('heading', { level: 1, name: 'History' }).waitFor()
      await goTo(page, 'Backups')
    },
  )

  it.runIf(isFull)(`has a heading also while the script of a view is on its way ${inFullForm}`, async () => {
    const page = await console.signIn('viewer')
    const departure = Promise.withResolvers<void>()
    await page.route('**/assets/chunk-*', async (route) => {
      await departure.promise
      await route.continue()
    })
    await goTo(page, 'History')
    await page.getByText('Loading the view').waitFor()
    departure.resolve()
    await page.getByRole('row').first().waitFor()
    expect(await page.getByRole('heading', { level: 1 }).allTextContents()).toEqual(['History'])
  })

  it.runIf(isFull)(
    `offers to load itself again when a view does not come, as after a deployment ${inFullForm}`,
    async () => {
      const page = await console.signIn('viewer')
      await page.route('**/assets/chunk-*', (route) => route.fulfill({ status: 404, body: '' }))
      await goTo(page, 'Backups')
      await page.getByRole('alert').getByText('This part of the page did not come.').waitFor()
      await page.unroute('**/assets/chunk-*')
      await page.getByRole('button', { name: 'Load the page again' }).click()
      await page.getByRole('heading', { level: 1, name: 'Backups' }).waitFor()
    },
  )

  it.runIf(isFull)(
    `says that a run is closing for as long as it is, and no longer ${inFullForm}`,
    async () => {
      const { runs } = await console.ask('GET', '/runs')
      const { runId } = runs.find((run: { status: string }) => run.status === 'succeeded')
      const { admin } = console.stack
      await admin.query(
        `INSERT INTO taskmaster_reset.invocations (id, run_id, request_id, step, deadline)
       VALUES ('closing', $1, '', 'Wipe files', now() + interval '1 hour')`,
        [runId],
      )
      const page = await console.signIn('viewer')
      await page.clock.install()
      await page.goto(`${page.url().split('#')[0]}#/runs/${encodeURIComponent(runId)}`)
      const closing = page.getByText(/^A function of this run may be at work until/)
      await closing.waitFor()
      await admin.query(`DELETE FROM taskmaster_reset.invocations WHERE id = 'closing'`)
      await page.clock.runFor(6_000)
      await closing.waitFor({ state: 'detached' })
    },
  )

  it.runIf(isFull)(
    `starts one run, and finds it, when it is asked again because the answer was lost ${inFullForm}`,
    async () => {
      const { runs } = await console.ask('GET', '/runs')
      const page = await console.signIn('admin')
      let lost = 0
      await page.route('**/v1/runs', async (route) => {
        if (route.request().method() !== 'POST' || lost++ > 0) return route.continue()
        await route.fetch()
        await route.abort('connectionreset')
      })
      await choose(page, 'Cache only')
      await page.getByRole('button', { name: 'Back up Cache only' }).click()
      await page.getByRole('alert').getByText('The service cannot be reached').waitFor()
      await choose(page, 'Cache only')
      await page.getByRole('button', { name: 'Back up Cache only' }).click()
      await page.getByRole('heading', { name: 'Backup, cache-only' }).waitFor()
      await page.getByText(/^Succeeded after/).waitFor()
      expect(lost).toBe(2)
      expect((await console.ask('GET', '/runs')).runs).toHaveLength(runs.length + 1)
    },
  )

  it.runIf(isFull)(
    `claims an environment whose stores carry no name yet, when the name is typed ${inFullForm}`,
    async () => {
      await console.stack.redis.del('taskmaster:environment')
      const page = await console.signIn('admin')
      await page.getByText('local is not claimed yet.').first().waitFor()
      expect(await page.getByRole('button', { name: 'Reset … Everything' }).isDisabled()).toBe(true)
      await page.getByRole('button', { name: 'Claim …' }).click()
      await page.getByRole('dialog').waitFor() // before, nothing takes what is typed
      await page.keyboard.type('local')
      await page.keyboard.press('Enter')
      await page.getByText(/^Succeeded after/).waitFor()
      await page.getByRole('link', { name: 'Overview' }).click()
      await page.getByRole('heading', { name: 'What is there' }).waitFor()
      expect(await page.getByRole('button', { name: 'Reset … Everything' }).isEnabled()).toBe(true)
    },
  )

  it.runIf(isFull)(
    'says that the service refuses or cannot be reached, keeps what it knew, and goes on by itself when it is back (full form)',
    async () => {
      const page = await console.signIn('admin')
      const pause = console.hold('Seal')
      await choose(page, 'Cache only')
      await page.getByRole('button', { name: 'Back up Cache only' }).click()
      await page.getByText(/: stage 2 of 4/).waitFor()
      let failures = 0
      await page.route(/\/v1\/runs\/[^/?]+$/, (route) =>
        failures++ < 2 ? route.fulfill({ status: 503, body: '' }) : route.continue(),
      )
      const refusal = page.getByText('The service answered 503 without a reason.')
      await refusal.waitFor()
      expect(await page.getByText(/: stage 2 of 4/).count()).toBe(1)
      await refusal.waitFor({ state: 'detached' })
      await page.context().setOffline(true)
      await page.getByText(/^Connection lost at/).waitFor()
      expect(await page.getByText(/: stage 2 of 4/).count()).toBe(1)
      pause.release()
      await page.context().setOffline(false)
      await page.getByText(/^Succeeded after/).waitFor()
      expect(await page.getByText(/^Connection lost at/).count()).toBe(0)
    },
  )
})
