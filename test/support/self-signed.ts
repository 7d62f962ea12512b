import { spawnSync } from 'node:child_process'

/** A certificate for `localhost` that nobody has signed, with its key; undefined where there is no openssl to make it. */
export function selfSigned(): { key: string; cert: string } | undefined {
  const args =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost -keyout - -out -'
  const { status, stdout } = spawnSync('openssl', args.split(' '), { encoding: 'utf8' })
  return status === 0 ? { key: stdout, cert: stdout } : undefined
}
