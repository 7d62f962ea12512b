import { prose, randomOf, word } from './words.ts'

/** Rows per table at scale 1, parents first; all grow linearly. */
const sizes = {
  users: 20_000,
  worlds: 10_000,
  world_elements: 300_000,
  timelines: 10_000,
  timeline_events: 700_000,
  story_sessions: 60_000,
  audit_logs: 400_000,
}
type Table = keyof typeof sizes
type Value = string | number | boolean | null
type Row = (id: number, random: () => number, sizes: Record<Table, number>) => Record<string, Value>

export function sizesAt(scale: number): Record<Table, number> {
  const entries = Object.entries(sizes).map(([table, rows]) => [table, Math.max(1, Math.round(rows * scale))])
  return Object.fromEntries(entries)
}

const start = Date.UTC(2026, 0, 5, 8)
const at = (minutes: number) => new Date(start + minutes * 60_000).toISOString()
const below = (random: () => number, limit: number) => Math.floor(random() * limit)
const oneOf = (random: () => number, words: string) => {
  const list = words.split(' ')
  return list[below(random, list.length)] ?? ''
}
const name = (random: () => number) => `${capital(word(random))} ${capital(word(random))}`
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** Ids are given out by the tables' own sequences, which begin at 1: row n has id n. */
const rows: Record<Table, Row> = {
  users: (id, random) => ({
    email: `${word(random)}.${id}@example.com`,
    display_name: name(random),
    role: id % 50 === 1 ? 'admin' : id % 5 === 0 ? 'author' : 'player',
    is_active: id % 9 !== 0,
    preferences: JSON.stringify({ theme: oneOf(random, 'dark light sepia'), fontSize: 12 + (id % 6) }),
    created_at: at(id * 7),
    last_seen_at: id % 4 === 0 ? null : at(id * 7 + below(random, 90_000)),
  }),
  worlds: (id, random, { users }) => ({
    owner_id: 1 + below(random, users),
    name: `${name(random)} ${id}`,
    genre: oneOf(random, 'fantasy mystery space-opera horror fable'),
    description: prose(random, 30 + below(random, 60)),
    is_public: id % 3 === 0,
    difficulty: (0.5 + below(random, 40) / 4).toFixed(2),
    settings: JSON.stringify({ magic: id % 2 === 0, moons: id % 4 }),
    created_at: at(id * 11),
  }),
  world_elements: (id, random, { worlds }) => ({
    world_id: 1 + (id % worlds),
    parent_id: id > worlds ? id - worlds : null,
    kind: oneOf(random, 'place character item faction'),
    name: name(random),
    description: id % 6 === 0 ? null : prose(random, 70 + below(random, 90)),
    attributes: JSON.stringify({ age: below(random, 900), traits: [word(random), word(random)] }),
    weight: (below(random, 1_000_000) / 1_000).toFixed(3),
    created_at: at(id),
  }),
  timelines: (id, random, { worlds }) => ({
    world_id: 1 + (id % worlds),
    name: `Timeline of ${name(random)}`,
    calendar: oneOf(random, 'gregorian lunar elvish'),
    is_canonical: id <= worlds,
    created_at: at(id * 17),
  }),
  timeline_events: (id, random, { timelines, world_elements }) => ({
    timeline_id: 1 + (id % timelines),
    element_id: id % 4 === 0 ? null : 1 + below(random, world_elements),
    position: Math.floor(id / timelines),
    title: `The year of ${name(random)}`,
    body: prose(random, 35 + below(random, 90)),
    year: (below(random, 400_000) / 100 - 1_500).toFixed(2),
    created_at: at(id),
  }),
  story_sessions: (id, random, { users, worlds, timelines }) => ({
    user_id: 1 + below(random, users),
    world_id: 1 + below(random, worlds),
    timeline_id: id % 5 === 0 ? null : 1 + below(random, timelines),
    title: prose(random, 5),
    file_key: id % 12 === 0 ? `session-${id}.md` : null,
    word_count: below(random, 5_000),
    is_finished: id % 3 !== 0,
    state: JSON.stringify({ chapter: id % 12, seed: below(random, 2 ** 31), mood: word(random) }),
    started_at: at(id * 5),
    ended_at: id % 3 === 0 ? null : at(id * 5 + 90),
  }),
  audit_logs: (id, random, { users }) => ({
    user_id: id % 11 === 0 ? null : 1 + below(random, users),
    action: oneOf(random, 'login create update delete export'),
    subject: `world ${below(random, 10_000)}`,
    detail:
      id % 4 === 0
        ? null
        : JSON.stringify({ ip: `192.0.2.${id % 250}`, said: prose(random, 20 + below(random, 20)) }),
    created_at: at(id / 2),
  }),
}

export const tables = Object.keys(rows) as Table[]

export function columnsOf(table: Table): string[] {
  return Object.keys(rows[table](1, randomOf(0), sizes))
}

/** All rows of a table as COPY's text format has them, in pieces; the same ones every time. */
export function* copyText(table: Table, scale: number): Generator<string> {
  const counts = sizesAt(scale)
  const random = randomOf(tables.indexOf(table) + 1)
  let piece = ''
  for (let id = 1; id <= counts[table]; id++) {
    piece += `${Object.values(rows[table](id, random, counts))
      .map(asCopy)
      .join('\t')}\n`
    if (piece.length < 2 ** 16) continue
    yield piece
    piece = ''
  }
  yield piece
}

const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function asCopy(value: Value): string {
  if (value === null) return '\\N'
  return typeof value === 'string'
    ? value.replace(/[\\\n\r\t]/g, (found) => escapes[found] ?? '')
    : String(value)
}
