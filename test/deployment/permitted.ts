/** Who may do what with one object: names of functions, with a space between. Nobody else may, and nothing else. */
type Permitted = {
  reads?: string
  /** Where there is none of the name yet. */
  makes?: string
  /** Where there may be one, which is then another. */
  replaces?: string
  deletes?: string
  /** Gives up an upload to it, which leaves no object. */
  givesUp?: string
  /** Reads and writes the tags and annotations that S3 takes along in a copy. */
  readsTags?: string
  writesTags?: string
}

const all = 'compare copy count ended finish load notify prune putback restore seal verify wipe'
const ofBackups = { reads: `api ${all}`, deletes: 'prune', givesUp: 'count' } // count tries whether one could be written
const ofRuns = { reads: `export ${all}`.replace(' notify', '') }

/** Below a folder of the bucket of the files. */
export const permittedFiles: Record<string, Permitted> = {
  'generated_stories/a.txt': {
    ...{ reads: 'copy putback wipe', makes: 'putback', replaces: 'putback', deletes: 'putback wipe' },
    ...{ givesUp: 'putback', readsTags: 'copy', writesTags: 'putback' },
  },
  'other/a.txt': {},
  '.taskmaster/environment.json': {
    reads: 'api count prune putback wipe',
    ...{ makes: 'count', replaces: 'count' },
  },
  '.taskmaster/probe-1': { reads: 'count', makes: 'count', replaces: 'count', deletes: 'count' },
}

/** Below the folder of one backup. */
export const permittedInBackups: Record<string, Permitted> = {
  'manifest.json': { ...ofBackups, makes: 'seal', givesUp: 'count seal' },
  'files.jsonl.zst': { ...ofBackups, makes: 'seal', givesUp: 'count seal' },
  'files.2.jsonl.zst': { ...ofBackups, makes: 'seal', givesUp: 'count seal' },
  'pinned.json': { ...ofBackups, makes: 'api seal', replaces: 'api seal', givesUp: 'count seal' },
  'pruning.json': { ...ofBackups, makes: 'prune', replaces: 'prune' },
  'late-1.json': { ...ofBackups, makes: 'putback restore wipe', givesUp: 'count putback restore wipe' },
  'files/a.txt': {
    ...{ ...ofBackups, makes: 'copy', givesUp: 'copy count' },
    ...{ readsTags: 'putback', writesTags: 'copy' },
  },
  'files.2/a.txt': {
    ...{ ...ofBackups, makes: 'copy', givesUp: 'copy count' },
    ...{ readsTags: 'putback', writesTags: 'copy' },
  },
  'database/public.users/00000.jsonl.zst': {
    ...{ ...ofBackups, reads: `api export ${all}` },
    ...{ makes: 'export restore wipe', givesUp: 'count export restore wipe' },
  },
  'database/public.users/00000.ranges': {
    ...{ ...ofBackups, reads: `api export ${all}` },
    ...{ makes: 'export restore wipe', givesUp: 'count export restore wipe' },
  },
  'cache/00000.jsonl.zst': {
    ...{ ...ofBackups, reads: `api export ${all}` },
    ...{ makes: 'export', givesUp: 'count export' },
  },
  'cache/late-1/00000.jsonl.zst': {
    ...{ ...ofBackups, reads: `api export ${all}` },
    ...{ makes: 'export putback wipe', givesUp: 'count export putback wipe' },
  },
  'anything-else.json': ofBackups,
}

/** Below the folder of one run's work. */
export const permittedOfRuns: Record<string, Permitted> = {
  'plan-0123.json': { ...ofRuns, makes: 'count' },
  'lists-a/files/00000.jsonl': { ...ofRuns, makes: 'count' },
  'probe-1': { ...ofRuns, makes: 'count', replaces: 'count' },
  'results/files-00000.json': { ...ofRuns, makes: 'compare copy export putback verify wipe' },
  'results/wiped-files-00000.unfinished.json': {
    ...ofRuns,
    ...{ makes: 'compare copy export putback verify wipe' },
    ...{ replaces: 'compare copy export putback verify wipe' },
  },
  'results/difference-rows.jsonl': {
    ...{ ...ofRuns, reads: `api ${ofRuns.reads}` },
    makes: 'compare copy export putback verify wipe',
  },
  'anything-else.json': ofRuns,
}
