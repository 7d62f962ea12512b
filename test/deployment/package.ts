import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

type Resource = {
  Type: string
  DependsOn?: string | string[]
  DeletionPolicy?: string
  UpdateReplacePolicy?: string
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of a resource
  Properties: Record<string, any>
}
export type Template = {
  Resources: Record<string, Resource>
  Outputs: Record<string, { Value: unknown }>
  /** What the framework gives to CloudFormation beside the template. */
  provider: { stackTags?: Record<string, string>; iam?: { deploymentRole?: string } }
}

/** Where `npm run build` puts a function's bundle. */
export const bundleOf = (name: string) => join(root, `dist/${name}/index.mjs`)

/** Every stage has the same bundles. */
let built: Promise<unknown> | undefined

/** Builds the bundles, and packages a stage as a deployment would, offline; gives the CloudFormation template. */
export async function packageStage(
  stage: string,
  parameters: Record<string, string> = {},
): Promise<Template> {
  built ??= run(process.execPath, [join(root, 'scripts/build.ts')])
  await built
  const folder = await mkdtemp(join(tmpdir(), 'taskmaster-package-'))
  try {
    const given = Object.entries(parameters).map(([name, value]) => `--param=${name}=${value}`)
    const serverless = join(root, 'node_modules/serverless/bin/serverless.js')
    await run(process.execPath, [serverless, 'package', '--stage', stage, '--package', folder, ...given], {
      cwd: root,
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        AWS_ACCESS_KEY_ID: 'none',
        AWS_SECRET_ACCESS_KEY: 'none',
        // What it makes of its own code and of its schema for serverless.yml is the same each time. npm ci clears it away.
        NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/compiled'),
        SLS_SCHEMA_CACHE_BASE_DIR: join(root, 'node_modules/.cache/serverless'),
      },
    })
    const read = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'))
    const { provider } = (await read('serverless-state.json')).service
    return { ...(await read('cloudformation-template-update-stack.json')), provider }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
