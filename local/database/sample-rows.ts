/** Rows per table at scale 1; all grow linearly. */
const sizes = {
  users: 200,
  worlds: 150,
  world_elements: 2_000,
  timelines: 300,
  timeline_events: 1_500,
  story_sessions: 240,
  audit_logs: 1_000,
}

type SampleTable = keyof typeof sizes

export function sampleSizes(scale: number): Record<SampleTable, number> {
  const entries = Object.entries(sizes).map(([table, rows]) => [table, Math.max(1, Math.round(rows * scale))])
  return Object.fromEntries(entries)
}

const pick = (words: string, by: string) => {
  const list = words.split(' ')
  return `(ARRAY['${list.join("','")}'])[1 + (${by}) % ${list.length}]`
}

const places =
  'Ashfall Brackwater Cinderhold Dunmere Eldervale Frosthollow Glimmerfen Harrowgate Ironwold Juniper'
const names = 'Aria Bram Cato Daro Elin Fenna Goran Hild Ivo Jora Kael Lumi Mirek Nera Odo Petra Runa Sefa'
const at = (minutes: string) => `timestamptz '2026-01-05 08:00Z' + (${minutes}) * interval '1 minute'`

/** What the rows are made of: everything follows from the row's number `i`, so that two samples are the same. */
const rows: Record<SampleTable, (sizes: Record<SampleTable, number>) => string> = {
  users: () => `(email, display_name, role, is_active, preferences, created_at, last_seen_at)
    SELECT 'user' || i || '@example.com', ${pick(names, 'i * 7')} || ' ' || ${pick(places, 'i * 3')},
      CASE WHEN i % 50 = 1 THEN 'admin' WHEN i % 5 = 0 THEN 'author' ELSE 'player' END, i % 9 <> 0,
      jsonb_build_object('theme', ${pick('dark light sepia', 'i')}, 'fontSize', 12 + i % 6, 'tags', jsonb_build_array(i, i % 7)),
      ${at('i * 37')}, CASE WHEN i % 4 <> 0 THEN ${at('i * 37 + 9000')} END`,
  worlds: ({ users }) => `(owner_id, name, genre, description, is_public, difficulty, settings, created_at)
    SELECT 1 + i * 13 % ${users}, ${pick(places, 'i')} || ' ' || i, ${pick('fantasy mystery space-opera horror fable', 'i')},
      'A world of "' || ${pick(places, 'i * 7')} || '" — où l''on raconte' || E'\\n' || repeat('Once upon a time. ', 1 + i % 9),
      i % 3 = 0, 0.5 + (i % 40) * 0.25, jsonb_build_object('magic', i % 2 = 0, 'moons', i % 4), ${at('i * 61')}`,
  world_elements: ({
    worlds,
  }) => `(world_id, parent_id, kind, name, description, attributes, weight, created_at)
    SELECT 1 + i % ${worlds}, CASE WHEN i > ${worlds} THEN i - ${worlds} END, ${pick('place character item faction', 'i')},
      ${pick(names, 'i * 5')} || ' of ' || ${pick(places, 'i * 11')}, CASE WHEN i % 6 <> 0 THEN 'Found in ' || ${pick(places, 'i')} END,
      jsonb_build_object('age', i % 900, 'traits', jsonb_build_array(${pick('brave sly old cursed 🜂', 'i')})), i % 1000 / 8.0, ${at('i * 3')}`,
  timelines: ({ worlds }) => `(world_id, name, calendar, is_canonical, created_at)
    SELECT 1 + i % ${worlds}, 'Timeline ' || i, ${pick('gregorian lunar elvish', 'i')}, i <= ${worlds}, ${at('i * 17')}`,
  timeline_events: ({
    timelines,
    world_elements,
  }) => `(timeline_id, element_id, position, title, body, year, created_at)
    SELECT 1 + i % ${timelines}, CASE WHEN i % 4 <> 0 THEN 1 + i * 7 % ${world_elements} END, i / ${timelines}, 'The year of ' || ${pick(names, 'i')},
      repeat('And then it was told again. ', i % 12), (i * 37 % 4000) - 1500.25, ${at('i * 5')}`,
  story_sessions: ({
    users,
    worlds,
    timelines,
  }) => `(user_id, world_id, timeline_id, title, file_key, word_count, is_finished, state, started_at, ended_at)
    SELECT 1 + i % ${users}, 1 + i % ${worlds}, CASE WHEN i % 5 <> 0 THEN 1 + i % ${timelines} END, 'Story ' || i,
      CASE WHEN i % 2 = 0 THEN 'session-' || i || '.md' END, i * 91 % 5000, i % 3 <> 0,
      jsonb_build_object('chapter', i % 12, 'seed', md5(i::text)), ${at('i * 29')}, CASE WHEN i % 3 <> 0 THEN ${at('i * 29 + 90')} END`,
  audit_logs: ({ users }) => `(user_id, action, subject, detail, created_at)
    SELECT CASE WHEN i % 11 <> 0 THEN 1 + i % ${users} END, ${pick('login create update delete export', 'i')}, 'world ' || i % 150,
      CASE WHEN i % 2 = 0 THEN jsonb_build_object('ip', '192.0.2.' || i % 250) END, ${at('i')}`,
}

/** One INSERT per table, parents first. Ids are given out by the tables' own sequences, which begin at 1. */
export function insertRows(scale: number): string[] {
  const sizes = sampleSizes(scale)
  return Object.entries(rows).map(
    ([table, select]) =>
      `INSERT INTO ${table} ${select(sizes)} FROM generate_series(1, ${sizes[table as SampleTable]}) AS i`,
  )
}
