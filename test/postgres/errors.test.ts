import { expect, it } from 'vitest'
import { databaseError } from '../../lib/postgres/errors.ts'

it.each([
  ['53100', 'could not extend file "base/1/2": No space left on device', 'DatabaseFull'],
  ['53100', 'could not extend file because project size limit (512 MB) has been exceeded', 'DatabaseFull'],
  ['53400', 'temporary file size exceeds "temp_file_limit" (1024kB)', 'DatabaseFull'],
  ['53200', 'out of memory', 'DatabaseOutOfMemory'],
  ['55P03', 'canceling statement due to lock timeout', 'DatabaseBusy'],
  ['57P01', 'terminating connection due to administrator command', 'StoreUnavailable'],
])('SQLSTATE %s, %s, has the name %s in the runbook', (code, message, name) => {
  const reported = Object.assign(new Error(message), { code, severity: 'ERROR' })
  expect(databaseError(reported)).toMatchObject({ name, message: expect.stringContaining(message) })
  expect(databaseError(databaseError(reported))).toMatchObject({ name })
})
