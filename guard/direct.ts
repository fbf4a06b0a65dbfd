import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { callDirectly } from '../services/kit/outgoing.ts'

/**
 * Calls the instance, never through a proxy, because the call carries the internal key. The guard changes neither the
 * environment nor the global `fetch`: the application around it may use proxies for its own calls.
 */
export const callInstance: (request: Request) => Promise<Response> =
  process.versions.bun === undefined ? callOnNode : (request) => callDirectly(request)

/** Milliseconds that an idle connection is kept: less than servers keep it, so that none is closed while in use. */
const IDLE = 10_000
const options = { keepAlive: true, timeout: IDLE }
const agents = { 'http:': new HttpAgent(options), 'https:': new HttpsAgent(options) }

/**
 * Calls an address on Node with an agent of our own, without redirects. Node's `fetch` obeys proxy variables
 * (`NODE_USE_ENV_PROXY`) and the application's global dispatcher, and has no option to prevent that.
 */
async function callOnNode(request: Request): Promise<Response> {
  const { headers, method, signal, url } = request
  const body = Buffer.from(await request.arrayBuffer())
  const https = url.startsWith('https:')
  const send = https ? httpsRequest : httpRequest
  const agent = agents[https ? 'https:' : 'http:']
  return await new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(signal.aborted ? signal.reason : error)
    const call = send(url, { method, headers: Object.fromEntries(headers), signal, agent }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', fail)
      response.on('end', () => {
        const bytes = Buffer.concat(parts)
        try {
          resolve(new Response(bytes.length === 0 ? null : bytes, { status: response.statusCode ?? 0 }))
        } catch (error) {
          // An invalid status.
          reject(error)
        }
      })
    })
    call.on('error', fail)
    call.end(body)
  })
}
