import { expect, test } from 'vitest'
import { messageOfPostgres } from '../lib/postgres-message.ts'

/** What Postgres reports, as its driver gives it; the rows' own values are "secret". */
const reported = (about: object) =>
  messageOfPostgres({ severity: 'ERROR', code: '23505', message: 'it failed', ...about })

test('an error of Postgres itself is told as it says it, without the rows of its detail', () => {
  const message = 'duplicate key value violates unique constraint "users_email_key"'
  const rows = { detail: 'Key (email)=(secret) already exists.', hint: 'secret', internalQuery: 'secret' }
  expect(reported({ message, ...rows })).toBe(message)
})

test.each([
  ['invalid input syntax for type integer: "secret"', 'invalid input syntax for type integer: "…"'],
  ['value "secret" is out of range for type integer', 'value "…" is out of range for type integer'],
  ['invalid input syntax for type json: "a\nsecret"', 'invalid input syntax for type json: "…"'],
  ['date/time field value out of range: secret', 'date/time field value out of range: …'],
  ['malformed array: "a", or secret', 'malformed array: …'],
  ['division by zero', 'division by zero'],
])('an error about a value does not repeat the value: %j', (message, told) => {
  expect(reported({ code: '22P02', message })).toBe(told)
  expect(reported({ message })).toBe(message) // any other names objects in its quotes
})

test.each([
  'COPY users, line 3, column email: "secret"',
  'JSON data, line 1: {"email":secret',
  'while inserting index tuple (0,1) in relation "users_email_key"',
  "unnamed portal parameter $1 = 'secret'",
])('a place that is no code of the application hides no message: %j', (where) => {
  expect(reported({ where })).toBe('it failed')
  const called = `${where}\nPL/pgSQL function app.check_email(text) line 3 at RAISE`
  expect(reported({ where: called, message: 'secret' })).not.toContain('secret')
})

test.each([
  ['PL/pgSQL function app.check_email(text) line 3 at RAISE', 'function app.check_email'],
  ['SQL function "check_email" statement 1', 'function check_email'],
  ['PL/Python function "check_email"', 'function check_email'],
])('what happened in code of the application is told by its names alone: %j', (where, named) => {
  const names = { schema: 'app', table: 'users', column: 'email', constraint: 'users_email_check' }
  const left = 'its message is left out, as it may hold values of rows'
  expect(reported({ code: '23514', message: 'secret', where, ...names })).toBe(
    `SQLSTATE 23514, from within code of the application (${named}, table app.users, column email, constraint users_email_check); ${left}`,
  )
  expect(reported({ code: '22012', message: 'secret', where })).toBe(
    `SQLSTATE 22012, from within code of the application (${named}); ${left}`,
  )
})

test.each([
  'exec_stmt_raise',
  'exec_stmt_assert',
  'PLy_spi_execute',
  'pltcl_elog',
  'plperl_util_elog',
  'plv8_Elog',
])('what application code raises names what that code says, so no name of it is told: %s', (routine) => {
  const names = { schema: 'secret', table: 'secret', column: 'secret', constraint: 'secret' }
  expect(reported({ code: 'P0001', message: 'secret', routine, ...names })).toBe(
    'SQLSTATE P0001, from within code of the application; its message is left out, as it may hold values of rows',
  )
})

test('an error of anybody else is not judged', () => {
  const others = [null, 'text', new Error('it failed'), { code: '23505', message: 'it failed' }]
  for (const error of [
    ...others,
    { severity: 'ERROR', code: 7, message: 'x' },
    { severity: 'ERROR', code: '1' },
  ])
    expect(messageOfPostgres(error)).toBeUndefined()
})
