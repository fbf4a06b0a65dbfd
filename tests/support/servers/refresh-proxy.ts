import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A refresh that went through the proxy. */
export interface Refresh {
  sent: string
  /** The refresh token of the answer; undefined after a refusal. */
  received: string | undefined
  status: number
}

/** The fate of a request: it does not arrive, its answer is lost, or it passes. */
type Fate = 'cut' | 'lost' | 'pass'

/** A proxy before a system that loses requests or answers, and records the refreshes. */
export interface RefreshProxy {
  url: string
  /** Refreshes that arrived, in the order of their answers. */
  refreshes: Refresh[]
  /** The most refreshes that were under way at once. */
  mostAtOnce: number
  /** Paths of all requests that arrived. */
  paths: string[]
  /** Decides about a request that is no preflight. Its answer waits for the promise. */
  fate(path: string): Fate | Promise<Fate>
  /** Redirects all requests but preflights to this address. */
  redirect: string | undefined
  /** Sends this instead of `expires_in`, in seconds. */
  expiresIn: number | undefined
  /** Sets `fate` back: everything passes. */
  reset(): void
  stop(): void
}

/** @param target the base address of the system */
export async function refreshProxy(target: () => string): Promise<RefreshProxy> {
  const pass = () => 'pass' as const
  let underWay = 0
  // A client that gives up, or a system that stops, ends a request at any point.
  const server = createServer(
    (request, response) => void handle(request, response).catch(() => request.socket.destroy()),
  )
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/'
    const body = await textOf(request)
    const headers = new Headers(request.headers as Record<string, string>)
    // Held until it is decided, so that a test can close a tab meanwhile.
    const fate = request.method === 'OPTIONS' ? 'pass' : proxy.fate(path)
    if (fate === 'cut') return void request.socket.destroy()
    proxy.paths.push(path)
    const method = request.method ?? 'GET'
    const isRefresh = path.endsWith('/auth/refresh') && method === 'POST'
    if (isRefresh) proxy.mostAtOnce = Math.max(proxy.mostAtOnce, ++underWay)
    const answer = await fetch(target() + path, {
      method,
      headers,
      redirect: 'manual',
      ...(method === 'GET' || method === 'OPTIONS' ? {} : { body }),
    })
    let text = await answer.text()
    if (text.includes('"refresh_token"') && proxy.expiresIn !== undefined)
      text = text.replace(/"expires_in":\d+/, `"expires_in":${proxy.expiresIn}`)
    if (isRefresh) {
      underWay--
      proxy.refreshes.push({
        sent: JSON.parse(body).refresh_token,
        received: JSON.parse(text).refresh_token,
        status: answer.status,
      })
    }
    if ((await fate) !== 'pass') return void request.socket.destroy()
    const sent = Object.fromEntries(
      [...answer.headers].filter(([name]) => !/^(content-|transfer-|connection)/.test(name)),
    )
    const type = answer.headers.get('content-type')
    if (proxy.redirect !== undefined && method !== 'OPTIONS')
      return void response.writeHead(307, { ...sent, location: proxy.redirect }).end()
    response.writeHead(answer.status, { ...sent, ...(type ? { 'content-type': type } : {}) })
    response.end(answer.status === 204 ? undefined : text)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: RefreshProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refreshes: [],
    mostAtOnce: 0,
    paths: [],
    fate: pass,
    redirect: undefined,
    expiresIn: undefined,
    reset() {
      proxy.fate = pass
      proxy.expiresIn = undefined
      proxy.mostAtOnce = 0
      proxy.refreshes.length = 0
      proxy.paths.length = 0
    },
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
  return proxy
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/**
 * Follows the refresh tokens of one session from the first one.
 * @returns the number of tokens, and the refreshes that do not continue the line: refused ones, and those that gave a
 * second successor to a token
 */
export function lineage(refreshes: readonly Refresh[]): { tokens: number; strays: Refresh[] } {
  const successors = new Map<string, string>()
  const strays: Refresh[] = []
  for (const refresh of refreshes) {
    const { received, sent } = refresh
    if (received === undefined || (successors.get(sent) ?? received) !== received) strays.push(refresh)
    else successors.set(sent, received)
  }
  return { tokens: successors.size, strays }
}
