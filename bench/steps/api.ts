import { apiToken } from '../environment.ts'
import { invoke, type Measured } from './invoke.ts'

/** A GET of the API, as API Gateway hands it to a function that has just been started. @throws Error unless it answers 200 */
export async function askApi(bundle: string, env: Record<string, string>, path: string): Promise<Measured> {
  const event = {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers: { authorization: `Bearer ${apiToken}`, host: 'bench.example' },
    requestContext: {
      domainName: 'bench.example',
      http: { method: 'GET', path, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'bench' },
      requestId: 'bench',
      routeKey: '$default',
      stage: '$default',
      time: new Date().toISOString(),
      timeEpoch: Date.now(),
    },
    isBase64Encoded: false,
  }
  const { result, measured } = await invoke(bundle, env, event)
  const { statusCode, body } = result as { statusCode: number; body: string }
  if (statusCode !== 200) throw new Error(`GET ${path} answered ${statusCode}: ${body}`)
  return measured
}
