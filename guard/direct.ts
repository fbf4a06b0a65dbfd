import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { direct } from '../services/kit/outgoing.ts'

/**
 * Calls the instance, never through a proxy: the internal key is for the instance alone. The application that the guard
 * is part of goes on using proxies for its own calls, so neither its environment nor its global `fetch` is changed.
 */
export const directly: (request: Request) => Promise<Response> =
  process.versions.bun === undefined ? onNode : (request) => direct(request)

/** Milliseconds an unused connection is kept: shorter than servers keep theirs, so that none is cut while it is used. */
const IDLE = 10_000
const options = { keepAlive: true, timeout: IDLE }
const agents = { 'http:': new HttpAgent(options), 'https:': new HttpsAgent(options) }

/**
 * Node's `fetch` obeys proxy variables (`NODE_USE_ENV_PROXY`) and the dispatcher that an application sets, and has no
 * option against either. An agent of the guard's own does neither. Redirects are not followed.
 */
async function onNode(request: Request): Promise<Response> {
  const { headers, method, signal, url } = request
  const body = Buffer.from(await request.arrayBuffer())
  const https = url.startsWith('https:')
  const send = https ? httpsRequest : httpRequest
  const agent = agents[https ? 'https:' : 'http:']
  return await new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(signal.aborted ? signal.reason : error)
    const call = send(url, { method, headers: Object.fromEntries(headers), signal, agent }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('error', fail)
      answer.on('end', () => {
        const bytes = Buffer.concat(parts)
        try {
          resolve(new Response(bytes.length === 0 ? null : bytes, { status: answer.statusCode ?? 0 }))
        } catch (error) {
          // A status that no answer may have.
          reject(error)
        }
      })
    })
    call.on('error', fail)
    call.end(body)
  })
}
