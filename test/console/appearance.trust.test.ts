import { fileURLToPath } from 'node:url'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { backupKeys } from '../../lib/backup/layout.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { goTo, pageOfMany, quietStatusAt, tell } from './answers.ts'
import { chromiumPath, useConsole } from './console-stack.ts'

const desk = { width: 1120, height: 760 }
const looks = [320, 768, 1440].flatMap((width) =>
  (['light', 'dark'] as const).map((colorScheme) => [width, colorScheme] as const),
)
type Look = (typeof looks)[number]
const images = fileURLToPath(new URL('../../docs/images/', import.meta.url))
/** --protected-solid in the light scheme. */
const purple = 'rgb(100, 37, 196)'
const takesPictures = process.env.SCREENSHOTS === '1'

describe.skipIf(chromiumPath === undefined)('how the page looks', () => {
  const console = useConsole()

  /**
   * Looks at what is shown at the widths of a phone, a tablet and a large screen, at each in both colour schemes.
   * @param picture name of the pictures for the README, taken when SCREENSHOTS=1
   */
  async function inspect(
    page: Page,
    what: string,
    picture?: string,
    some: readonly Look[] = looks,
  ): Promise<void> {
    for (const [width, colorScheme] of some) {
      await page.setViewportSize({ width, height: desk.height })
      await page.emulateMedia({ colorScheme })
      const wide = await page.evaluate('document.documentElement.scrollWidth')
      expect(wide, `${what}, ${width} pixels wide`).toBe(width)
      const problems = await problemsFoundByAxe(page)
      expect(problems, `${what}, ${width} pixels wide, ${colorScheme}`).toEqual([])
    }
    await page.setViewportSize(desk)
    if (takesPictures && picture !== undefined) await takePictures(page, picture)
  }

  async function takePictures(page: Page, picture: string): Promise<void> {
    const isDialog = (await page.getByRole('dialog').count()) > 0 // it covers what can be seen
    if (isDialog) await page.setViewportSize({ ...desk, height: 1000 })
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: `${images}${picture}-${colorScheme}.png`, fullPage: !isDialog })
    }
    await page.setViewportSize(desk)
  }

  it.runIf(isFull)(
    `has nothing that axe finds, in light and dark at each width, and fits from 320 to 1440 pixels without scrolling sideways ${inFullForm}`,
    async () => {
      const page = await console.open({ viewport: desk })
      await page.getByLabel('Access token').waitFor()
      await inspect(page, 'signing in')
      await page.close()

      await console.finish({ operation: 'backup', strategy: 'database-only', rehearse: false })
      const admin = await console.signIn('admin', { viewport: desk })
      await admin.getByRole('heading', { name: 'What is there' }).waitFor()
      await inspect(admin, 'the overview')
      const link = await console.finish({ operation: 'backup', strategy: 'full' })
      await damage()
      await goTo(admin, 'Backups')
      await admin.locator(link).click()
      await admin.getByRole('button', { name: 'Restore …' }).click()
      await admin
        .getByRole('row', { name: / fewer rows now$/ })
        .first()
        .waitFor()
      await admin.getByRole('button', { name: 'Compare row by row' }).click()
      await admin.getByText('Compared by a dry run just now').waitFor()
      await inspect(admin, 'what a restore would change', 'restore')
      await admin.keyboard.press('Escape')

      await admin.getByRole('link', { name: 'Overview' }).click()
      await tell(admin, /\/v1\/status$/, quietStatusAt(new Date(), { rows: 539, files: 12, keys: 30 }))
      await admin.reload()
      await admin.getByRole('radio', { name: 'To baseline' }).check()
      await inspect(admin, 'the overview with a baseline, after thirty nights', 'overview')
      await admin.getByRole('button', { name: 'Reset … Everything' }).click()
      await admin.getByText('Then local becomes what baseline holds').waitFor()
      await inspect(admin, 'the dialog of a reset to a baseline')
      await admin.keyboard.press('Escape')
      await admin.unroute(/\/v1\/status$/)
      await admin.reload()

      await admin.getByRole('button', { name: 'Reset … Everything' }).click()
      await admin.getByRole('button', { name: /^Back up and wipe \d/ }).waitFor()
      await inspect(admin, 'the dialog of a reset')
      await admin.getByLabel('Type local to confirm').fill('production')
      await admin.keyboard.press('Enter')
      await inspect(admin, 'a refused name')

      const pause = console.hold('Copy files batch')
      await admin.getByLabel('Type local to confirm').fill('local')
      await admin.keyboard.press('Enter')
      await admin.getByText('stage 2 of 5').waitFor()
      await admin.getByRole('progressbar', { name: 'Export database' }).waitFor()
      await inspect(admin, 'a run at work', 'running')
      await admin.getByRole('link', { name: 'Overview' }).click()
      await admin.getByText('Reset, full is running').waitFor()
      await inspect(admin, 'the overview while another run is active')
      await admin.goBack()
      pause.release()
      await admin.getByRole('heading', { name: 'Outcome' }).waitFor()
      await inspect(admin, 'an outcome')
      await leaveAtWork(admin.url().split('/').at(-1) ?? '')
      await admin.reload()
      await admin.getByText('A function of this run may be at work until').waitFor()
      await admin.getByText('Its turn had come, and how far that got could not be read.').waitFor()
      await inspect(admin, 'a run that is closing, with an outcome that is not known')
      await console.stack.admin.query('DELETE FROM taskmaster_reset.invocations')

      await goTo(admin, 'Backups')
      await admin.getByRole('row').nth(2).waitFor()
      await inspect(admin, 'the backups')
      await admin.route(/\/v1\/backups\?/, (route) =>
        route.fulfill({ json: pageOfMany(route.request().url()) }),
      )
      await admin.reload()
      await admin.getByRole('row').nth(50).waitFor()
      await inspect(admin, 'fifty of five hundred backups')
      for (let shown = 100; shown <= 500; shown += 50) {
        await admin.getByRole('button', { name: 'Show older backups' }).click()
        await admin.getByRole('row').nth(shown).waitFor()
      }
      await inspect(admin, 'five hundred backups', undefined, looks.slice(0, 2))
      await admin.getByLabel('Search').fill('no such thing')
      await admin.getByText('None of the backups is like that.').waitFor()
      await inspect(admin, 'a search that finds nothing')
      await admin.unroute(/\/v1\/backups\?/)
      await admin.reload()
      await admin.getByRole('row').nth(2).getByRole('link').first().click()
      await admin.getByRole('button', { name: 'Download manifest.json' }).waitFor()
      await inspect(admin, 'a backup')
      await admin.getByRole('button', { name: 'Label …' }).click()
      await inspect(admin, 'the dialog of a label')
      await admin.keyboard.press('Escape')
      await admin.getByRole('button', { name: 'Delete …' }).click()
      await admin.getByRole('dialog', { name: 'Delete a backup of local' }).waitFor()
      await inspect(admin, 'the dialog of a deletion')
      await admin.keyboard.press('Escape')
      await admin.getByRole('button', { name: 'Restore …' }).click()
      await admin
        .getByRole('row', { name: / fewer rows now$/ })
        .first()
        .waitFor()
      await inspect(admin, 'the dialog of a restore')
      await admin.keyboard.press('Escape')
      await takeSignature(admin.url().split('/').at(-1) ?? '')
      await admin.reload()
      await admin.getByText('Unsigned', { exact: true }).waitFor()
      await inspect(admin, 'a backup that nobody signed')
      await admin.getByRole('button', { name: 'Restore …' }).click()
      const restore = admin.getByRole('button', { name: /^Back up, then put back/ })
      await admin.getByText('Nobody known here signed the backup.').waitFor()
      expect(await restore.isDisabled()).toBe(true)
      await inspect(admin, 'the dialog of its restore')
      await admin.getByLabel(/^It carries no signature\..* I know where it comes from$/).check()
      expect(await restore.isEnabled()).toBe(true)
      await admin.keyboard.press('Escape')

      await goTo(admin, 'History')
      await admin.getByRole('row').nth(2).waitFor()
      await inspect(admin, 'the history')

      const mark = (await console.stack.redis.getdel('taskmaster:environment')) ?? ''
      await admin.getByRole('link', { name: 'Overview' }).click()
      await admin.reload()
      await admin.getByRole('button', { name: 'Claim …' }).click()
      await admin.getByRole('dialog', { name: 'Claim local' }).waitFor()
      await inspect(admin, 'the dialog of a claim')
      await admin.keyboard.press('Escape')
      await admin.getByText('All schedules').click()
      await admin.getByText('Nothing is scheduled.').nth(1).waitFor()
      await inspect(admin, 'the schedules')
      await console.stack.redis.set('taskmaster:environment', mark)

      await admin.context().setOffline(true)
      await admin.getByText(/^Connection lost at/).waitFor()
      await inspect(admin, 'a lost connection')
    },
  )

  /** What happens to a demo in a day. */
  async function damage(): Promise<void> {
    const { sql, redis } = console.stack
    for (const [table, rows] of [
      ['timeline_events', 60],
      ['audit_logs', 12],
    ])
      await sql.query(`DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} LIMIT ${rows})`)
    await sql.query(`UPDATE users SET email = 'x' || email WHERE id IN (SELECT id FROM users LIMIT 3)`)
    for (let key = 0; key < 9; key++) await redis.set(`taskmaster:of-a-visitor:${key}`, 'x')
  }

  /** As if a function of the run were still at work, and nobody could say what became of the cache; asked for by a long name. */
  async function leaveAtWork(runId: string): Promise<void> {
    await console.stack.admin.query(
      `INSERT INTO taskmaster_reset.invocations (id, run_id, request_id, step, deadline)
       VALUES ('of a test', $1, 'of a test', 'Wipe cache', now() + interval '10 minutes')`,
      [runId],
    )
    await console.stack.admin.query(
      `UPDATE taskmaster_reset.runs SET requested_by = repeat('somebody', 25),
         outcome = jsonb_set(outcome, '{targets,cache,state}', '"unknown"') WHERE run_id = $1`,
      [runId],
    )
  }

  /** As a backup from before there were signatures. */
  async function takeSignature(backupId: string): Promise<void> {
    const object = {
      Bucket: 'taskmaster-backups',
      Key: backupKeys('.taskmaster/backups/', backupId).manifest,
    }
    const answer = await console.stack.s3.send(new GetObjectCommand(object))
    const { signature: _, ...manifest } = JSON.parse((await answer.Body?.transformToString()) ?? '')
    await console.stack.s3.send(new PutObjectCommand({ ...object, Body: JSON.stringify(manifest) }))
  }

  /** The colour that the header and the environment's name are marked with. */
  async function marksOf(page: Page): Promise<unknown[]> {
    return page.evaluate(`[getComputedStyle(document.querySelector('.top')).borderBlockStartColor,
      getComputedStyle(document.querySelector('.mark')).backgroundColor]`)
  }

  it.runIf(isFull)(
    `marks a protected environment, and only that, and offers no reset and no restore in it ${inFullForm}`,
    async () => {
      await console.stack.sql.query(`CREATE TABLE public."${'long'.repeat(14)}\u202egnp" ()`)
      const other = await console.signIn('admin', { viewport: desk })
      await other.getByRole('heading', { name: 'What is there' }).waitFor()
      expect(await other.getByText('protected').count()).toBe(0)
      expect(await marksOf(other)).not.toContain(purple)
      await withVariables({ PROTECTED: 'true' }, async () => {
        const page = await console.signIn('admin', { viewport: desk })
        await page.getByText('protected: nothing is wiped here').waitFor()
        expect(await marksOf(page)).toEqual([purple, purple])
        await page.getByRole('heading', { name: 'What is there' }).waitFor()
        expect(await page.getByRole('button', { name: 'Reset … Everything' }).isDisabled()).toBe(true)
        expect(await page.getByRole('button', { name: 'Dry run of Everything' }).isEnabled()).toBe(true)
        await inspect(page, 'a protected environment')
        await page.getByRole('button', { name: 'Dry run of Everything' }).click()
        await page
          .getByText(/^The reset would be refused: EnvironmentProtected: .* Nothing was written\.$/)
          .waitFor()
        await page.getByText('dry run: would be refused', { exact: true }).waitFor()
        await page.getByRole('heading', { name: 'What the reset would do, if it were not refused' }).waitFor()
        // A name of 63 bytes is broken, and one that turns the direction of text shows that it does.
        await page.getByRole('row', { name: 'long\\u202egnp 0 rows' }).waitFor()
        await inspect(page, 'a dry run that would be refused')
        await goTo(page, 'Backups')
        await page.getByRole('row').last().getByRole('link').first().click()
        expect(await page.getByRole('button', { name: 'Restore …' }).isDisabled()).toBe(true)
      })
    },
  )
})

/** What it finds, each with the elements it is about. */
async function problemsFoundByAxe(page: Page): Promise<string[]> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(axe.source)
  const options: axe.RunOptions = { resultTypes: ['violations'], selectors: false }
  const violations = await page.evaluate<axe.Result[]>(
    `axe.run(${JSON.stringify(options)}).then(({ violations }) => violations)`,
  )
  return violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ html }) => html).join(' ')}`)
}
