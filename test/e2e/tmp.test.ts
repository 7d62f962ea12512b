import { test } from 'vitest'
import { fullReset, useResetStack } from './reset-stack.ts'
const seen: [string, number][] = []
const reset = useResetStack({ beforeTask: (s) => void seen.push([s, performance.now()]) })
test('x', async () => {
  await reset.seed({ users: 3, files: 1, keys: 1 })
  let t = performance.now()
  const lap = (s: string) => { console.log(s, Math.round(performance.now() - t)); t = performance.now() }
  await reset.stack.sql.query(`DO $$ BEGIN FOR i IN 1..2000 LOOP
    EXECUTE format('CREATE TABLE %I (id int, name text)', 'a_table_with_a_name_of_some_length_' || i);
    IF i %% 10 = 0 THEN EXECUTE format('INSERT INTO %I VALUES (1, ''x'')', 'a_table_with_a_name_of_some_length_' || i); END IF; END LOOP; END $$`.replaceAll('%%', '%'))
  lap('create')
  for (const rehearse of ['auto']) {
  seen.length = 0; t = performance.now()
  const r = await reset.run({ ...fullReset, rehearse }, 'big'+rehearse)
  let last = t
  console.log(seen.map(([s, at]) => { const d = Math.round(at - last); last = at; return `${d} -> ${s}` }).join(' | '), Math.round(performance.now() - last))
  lap('reset')
  console.log(r.status, r.error, r.cause, JSON.stringify(r.output).length, reset.machine.taskPayloads('big'+rehearse))
  }
}, 200000)
