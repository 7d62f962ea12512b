import type pg from 'pg'
import { typesSql, valuesByType } from '../database/every-type.ts'

/** The schemas that the torture tables lie in; the second name needs quotes wherever it is written. */
export const tortureSchemas = ['app', 'odd. "one"']

/** More values, one text per row, that a careless load would change. */
const moreValues: [type: string, values: string[]][] = [
  [
    'text',
    [
      String.raw`'\N'`,
      String.raw`'\.'`,
      String.raw`E'\\.\n\\.'`,
      `E'\\u0001\\u0002'`,
      "repeat('x', 10 << 20)",
    ],
  ],
  [
    'json',
    [`'  {"a":1,"a":2}  '`, `E'\\t[1]'`, `'"\\ud83d\\ude00"'`, "'12345678901234567890.10'", "' null '"],
  ],
  ['jsonb', ["'9007199254740993'", `'{"":null}'`, `'"a\\nb"'`, "'1.10'", "'-0.0'"]],
  ['numeric(38,0)', ['99999999999999999999999999999999999999', "'-99999999999999999999999999999999999999'"]],
  ['bpchar', ["'a  '"]],
  ['"char"', [`'\\377'`]],
  ['timestamp(0) with time zone', ["'2026-11-22 12:00:00+05:45'"]],
  ['interval day to second(3)', ["'3 04:05:06.789'"]],
  ['date', ["'4713-01-01 BC'", "'0001-01-01'"]],
  ['numeric[]', [`'[3:4]={NaN,1.50}'`, `'{Infinity,-Infinity}'`]],
  ['text[]', [`'[-1:1]={a,NULL,"NULL"}'`, "'{}'", 'ARRAY[NULL]::text[]', `ARRAY[['a','b'],['"','\\']]`]],
  ['jsonb[]', [`ARRAY['null'::jsonb, NULL, '{"a": 1}']`]],
  ['varchar(3)[]', ["ARRAY['abc', '  ', '']"]],
  ['app.short[]', ["ARRAY['x', NULL]::app.short[]"]],
  ['app.numbers[]', ["ARRAY['[5:6]={1,2}'::app.numbers]"]],
  ['int4range[]', ["ARRAY['[1,5)'::int4range, 'empty']"]],
  ['nummultirange', ["'{[1.10,2.0],(5,)}'"]],
  ['bit varying(7)[]', ["ARRAY[B'101', B'']"]],
  ['point[]', ["ARRAY['(1,2)'::point]"]],
  ['box[]', ["'{(1,1),(0,0);(2,2),(1,1)}'"]],
  ['xml', [`'<?xml version="1.0"?><a>&#xe9;</a>'`, "''", "'text only'"]],
  ['tsvector', [`'''a b'':1,2 ''\\\\'':3'`]],
  ['regproc', ["'pg_catalog.now'"]],
  ['regrole', ['current_user::text']],
  ['uuid[]', ["ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]"]],
]

/** Those that PostgreSQL has since a version. */
const valuesSince: [major: number, type: string, values: string[]][] = [
  [15, 'numeric(5,-2)', ['12300']],
  [17, 'interval', ["'infinity'"]],
]

/** Makes the tables as the role that owns the database; what only a superuser may make comes first. */
export async function makeTorture(sql: pg.Client, admin: pg.Client): Promise<void> {
  await admin.query(
    'CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public; CREATE EXTENSION IF NOT EXISTS citext SCHEMA public; CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public',
  )
  await sql.query(
    `CREATE SCHEMA app; CREATE SCHEMA "odd. ""one"""; CREATE SCHEMA elsewhere; SET search_path = app, public; ${typesSql}`,
  )
  await makeTyped(sql, 'app.every_type', valuesByType)
  const { rows } = await sql.query(`SELECT current_setting('server_version_num')::int / 10000 AS major`)
  const { major } = rows[0]
  const since = valuesSince.flatMap(([version, ...more]) => (major >= version ? [more] : []))
  await makeTyped(sql, 'app.more_types', [...moreValues, ...since])
  await sql.query(constraints)
  await sql.query(shapes)
  await sql.query(behaviours)
  const { rows: named } = await sql.query('SELECT quote_ident(current_database()) AS name')
  await sql.query(`ALTER DATABASE ${named[0].name} SET search_path = app, public; ${callers}`)
  if (major >= 18) {
    await sql.query(`CREATE TABLE app.virtual (a int, double int GENERATED ALWAYS AS (a * 2) VIRTUAL, b text); INSERT INTO app.virtual VALUES (4, DEFAULT, 'x');
      CREATE TABLE app.unenforced (id int PRIMARY KEY, up int, CONSTRAINT up_fk FOREIGN KEY (up) REFERENCES app.unenforced NOT ENFORCED);
      INSERT INTO app.unenforced VALUES (1, 99)`)
  }
}

async function makeTyped(
  sql: pg.Client,
  name: string,
  values: [type: string, values: string[]][],
): Promise<void> {
  const longest = Math.max(...values.map(([, list]) => list.length))
  const rows = Array.from({ length: longest + 1 }, (_, row) =>
    values.map(([type, list]) => (list[row] === undefined ? 'NULL' : `(${list[row]})::${type}`)),
  )
  await sql.query(`CREATE TABLE ${name} (${values.map(([type], index) => `c${index} ${type}`)});
    INSERT INTO ${name} VALUES ${rows.map((row) => `(${row})`)}`)
}

const constraints = `
CREATE TABLE app.authors (id int PRIMARY KEY, favourite int, name text CHECK (name <> ''));
CREATE TABLE app.books (id int PRIMARY KEY, author int NOT NULL REFERENCES app.authors, sequel int REFERENCES app.books);
ALTER TABLE app.authors ADD CONSTRAINT "fav ""one""" FOREIGN KEY (favourite) REFERENCES app.books ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
COMMENT ON CONSTRAINT "fav ""one""" ON app.authors IS E'it''s a \\\\ comment\\nof two lines';
BEGIN; INSERT INTO app.authors SELECT g, g, 'author ' || g FROM generate_series(1, 9) g;
INSERT INTO app.books SELECT g, 10 - g, g % 9 + 1 FROM generate_series(1, 9) g; COMMIT;
CREATE TABLE app.ranked (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, rank int UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO app.ranked SELECT g, 10 - g FROM generate_series(1, 9) g;
CREATE TABLE app.pairs (a int, b text, PRIMARY KEY (a, b)); INSERT INTO app.pairs VALUES (1, 'x'), (1, 'y');
CREATE TABLE app.to_pairs (b text, a int, FOREIGN KEY (a, b) REFERENCES app.pairs MATCH FULL ON UPDATE CASCADE ON DELETE CASCADE);
INSERT INTO app.to_pairs VALUES ('y', 1), (NULL, NULL);
CREATE TABLE app.dirty (id int, author int); INSERT INTO app.dirty VALUES (1, 777), (2, 1);
ALTER TABLE app.dirty ADD CONSTRAINT not_valid FOREIGN KEY (author) REFERENCES app.authors NOT VALID;
ALTER TABLE app.dirty ADD CONSTRAINT small CHECK (id < 2) NOT VALID;
CREATE TABLE app.booked (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO app.booked VALUES (1, '[2026-01-01,2026-01-02)'), (1, '[2026-01-02,2026-01-03)');
CREATE TABLE elsewhere.watchers (author int REFERENCES app.authors, of app.mood); INSERT INTO elsewhere.watchers VALUES (3, 'sad');`

const wide = Array.from({ length: 1000 }, (_, column) => `column_${column} int DEFAULT ${column}`)

const shapes = `
CREATE TABLE app.no_columns (); INSERT INTO app.no_columns DEFAULT VALUES; INSERT INTO app.no_columns DEFAULT VALUES;
CREATE TABLE app.no_key (a int, b text); INSERT INTO app.no_key VALUES (1, NULL), (1, NULL), (1, '');
CREATE TABLE app.wide (${wide}); INSERT INTO app.wide DEFAULT VALUES; INSERT INTO app.wide (column_999) VALUES (NULL);
CREATE TABLE app."select" ("from" int, line text, v int, r int, "R ""x""" int, key text, "a,b" int); INSERT INTO app."select" VALUES (1, 'l', 2, 3, 4, 'k', 5);
CREATE TABLE "odd. ""one"""."T.a'b\\c;--" ("ü 😀" text, "1" int DEFAULT 3); INSERT INTO "odd. ""one"""."T.a'b\\c;--" VALUES ('😀', 1), (E'\\u2028', NULL);
CREATE TABLE app.dropped (a int, b text, c int); INSERT INTO app.dropped VALUES (1, 'x', 2); ALTER TABLE app.dropped DROP b; ALTER TABLE app.dropped ADD d int DEFAULT 7;
CREATE UNLOGGED TABLE app.unlogged (id int); INSERT INTO app.unlogged VALUES (1);
CREATE TABLE app.base (id int, CHECK (id > 0)); CREATE TABLE app.child (more int) INHERITS (app.base); CREATE TABLE app.grandchild () INHERITS (app.child);
INSERT INTO app.base VALUES (1); INSERT INTO app.child VALUES (2, 2); INSERT INTO app.grandchild VALUES (3, 3);
CREATE TABLE app.parts (id int, author int REFERENCES app.authors, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE app.low PARTITION OF app.parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
CREATE TABLE app.lowest PARTITION OF app.low FOR VALUES FROM (0) TO (5); CREATE TABLE app.lower PARTITION OF app.low DEFAULT;
CREATE TABLE app.high (note text, gone int, id int NOT NULL, author int); ALTER TABLE app.high DROP gone; ALTER TABLE app.parts ATTACH PARTITION app.high DEFAULT;
INSERT INTO app.parts SELECT g, g % 9 + 1, 'n' || g FROM generate_series(1, 30) g;
CREATE TABLE app.of_parts (part int REFERENCES app.parts ON DELETE CASCADE, own int REFERENCES app.lowest); INSERT INTO app.of_parts VALUES (3, 1), (25, 2);
CREATE TABLE app.hashed (k text) PARTITION BY HASH (k); CREATE TABLE app.hashed0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.hashed1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO app.hashed SELECT md5(g::text) FROM generate_series(1, 20) g;
CREATE TABLE app.listed (m app.mood, n int) PARTITION BY LIST (m); CREATE TABLE app.listed_sad PARTITION OF app.listed FOR VALUES IN ('sad', NULL);
INSERT INTO app.listed VALUES ('sad', 1), (NULL, 2);`

const behaviours = `
CREATE TABLE app.made (id bigint GENERATED ALWAYS AS IDENTITY (START 9007199254740993 INCREMENT 7), by_default int GENERATED BY DEFAULT AS IDENTITY (START 5),
  a int, double int GENERATED ALWAYS AS (a * 2) STORED, b int GENERATED ALWAYS AS (a + 1) STORED);
INSERT INTO app.made (a) SELECT g FROM generate_series(1, 5) g; INSERT INTO app.made (a) VALUES (NULL);
CREATE TABLE app.only_made (a int GENERATED ALWAYS AS (7) STORED); INSERT INTO app.only_made DEFAULT VALUES;
CREATE TABLE app.serials (id bigserial PRIMARY KEY, small smallserial); INSERT INTO app.serials SELECT FROM generate_series(1, 3); SELECT setval('app.serials_id_seq', 5000, false);
CREATE SEQUENCE app.down INCREMENT -3 MINVALUE -1000 MAXVALUE 10 START 10 CYCLE; SELECT nextval('app.down'), nextval('app.down');
CREATE SEQUENCE app.fresh START 77; CREATE SEQUENCE app.limit AS bigint; SELECT setval('app.limit', 9223372036854775807);
CREATE SEQUENCE "odd. ""one"""."s.q""" ; SELECT nextval('"odd. ""one"""."s.q"""');
CREATE SEQUENCE app.tickets_numbers START 1000; CREATE TABLE app.tickets (n bigint DEFAULT nextval('app.tickets_numbers')); INSERT INTO app.tickets SELECT FROM generate_series(1, 4);
CREATE TABLE app.log (what text);
CREATE TABLE app.watched (id int PRIMARY KEY, v text); INSERT INTO app.watched VALUES (1, 'a'), (2, 'b');
CREATE FUNCTION app.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO app.log VALUES (TG_NAME || TG_OP); IF TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW.v := 'spoiled'; RETURN NEW; END IF; RETURN NULL; END $$;
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON app.watched FOR EACH ROW EXECUTE FUNCTION app.spoil();
CREATE TRIGGER always_row BEFORE INSERT ON app.watched FOR EACH ROW EXECUTE FUNCTION app.spoil(); ALTER TABLE app.watched ENABLE ALWAYS TRIGGER always_row;
CREATE TRIGGER replica_row BEFORE INSERT ON app.watched FOR EACH ROW EXECUTE FUNCTION app.spoil(); ALTER TABLE app.watched ENABLE REPLICA TRIGGER replica_row;
CREATE TRIGGER off_row BEFORE INSERT ON app.watched FOR EACH ROW EXECUTE FUNCTION app.spoil(); ALTER TABLE app.watched DISABLE TRIGGER off_row;
CREATE TRIGGER "on truncate" AFTER TRUNCATE OR INSERT ON app.watched FOR EACH STATEMENT EXECUTE FUNCTION app.spoil(); COMMENT ON TRIGGER "on truncate" ON app.watched IS 'kept';
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.watched DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.spoil();
CREATE FUNCTION app.spoil_part() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'spoiled'; RETURN NEW; END $$;
CREATE TRIGGER part_row BEFORE INSERT ON app.parts FOR EACH ROW EXECUTE FUNCTION app.spoil_part();
ALTER TABLE app.lower DISABLE TRIGGER part_row;
CREATE DOMAIN app.later AS int; CREATE DOMAIN "odd. ""one"""."La ter" AS app.later; CREATE TABLE app.of_later (v app.later, w "odd. ""one"""."La ter"[]); INSERT INTO app.of_later VALUES (-1, '{-2}');
ALTER DOMAIN app.later ADD CONSTRAINT "above 0" CHECK (VALUE > 0) NOT VALID; COMMENT ON CONSTRAINT "above 0" ON DOMAIN app.later IS 'it''s not valid';
CREATE TABLE app.ruled (id int); INSERT INTO app.ruled VALUES (1), (2);
CREATE RULE instead AS ON INSERT TO app.ruled DO INSTEAD NOTHING;
CREATE TABLE app.also (id int); INSERT INTO app.also VALUES (1); CREATE RULE more AS ON INSERT TO app.also DO ALSO INSERT INTO app.log VALUES ('rule');
CREATE RULE off AS ON INSERT TO app.also DO ALSO INSERT INTO app.log VALUES ('off'); ALTER TABLE app.also DISABLE RULE off;
CREATE TABLE app.guarded (id int, who text); INSERT INTO app.guarded VALUES (1, 'a'), (2, 'b'); ALTER TABLE app.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY none ON app.guarded USING (false);
COMMENT ON TABLE app.log IS 'a log'; COMMENT ON COLUMN app.log.what IS 'what';
CREATE VIEW app.seen AS SELECT * FROM app.authors; CREATE MATERIALIZED VIEW app.kept AS SELECT count(*) FROM app.authors;`

/** Functions that find others by the search path of the application's role. */
const callers = `
CREATE FUNCTION app.helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION app.caller(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN helper($1); END $$;
CREATE DOMAIN app.called AS int CHECK (app.caller(VALUE) > 0);
CREATE TABLE app.calling (a int CHECK (app.caller(a) > 0), b int GENERATED ALWAYS AS (app.caller(a)) STORED, c app.called);
CREATE INDEX ON app.calling (app.caller(a)); INSERT INTO app.calling (a, c) VALUES (1, 2), (2, 3);`
