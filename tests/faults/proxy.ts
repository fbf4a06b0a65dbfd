import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Fault of one request between two services. */
export interface Fate {
  /** The request is lost before it arrives, or its answer is lost. */
  lost?: 'request' | 'answer'
  /** The request arrives a second time, so many milliseconds later. */
  doubled?: number
  /** The request arrives so many milliseconds later, so that others overtake it. */
  late?: number
}

/** A proxy between two services that applies the next fault to each request; without a fault it forwards. */
export interface Between {
  url: string
  fates: Fate[]
  /** Number of requests with a fault. */
  befallen: number
  /** Resolves when the duplicates of all requests so far have arrived. */
  duplicatesArrived(): Promise<void>
  /** Blocks requests to these paths: their connections break at once, or get no answer. */
  cut: { paths: RegExp; how: 'broken' | 'silent' } | undefined
  stop(): void
}

/**
 * @param target the base address of the other service, read at each request, because it may be known later
 * @param paths whose requests get faults; all others are forwarded
 */
export async function startProxy(target: () => string, paths = /^/): Promise<Between> {
  const duplicates = new Set<Promise<void>>()
  const server = createServer(async (request, answer) => {
    const { method = 'GET', url = '/' } = request
    const body = await bodyOf(request)
    const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
    for (const name of ['host', 'connection', 'content-length', 'accept-encoding']) headers.delete(name)
    const forward = () =>
      fetch(target() + url, { method, headers, ...(body.length > 0 ? { body: new Uint8Array(body) } : {}) })
    const isCut = () => proxy.cut?.paths.test(url) ?? false
    const sever = () => (proxy.cut?.how === 'silent' ? undefined : void request.socket.destroy())
    if (isCut()) return sever()
    const fate = paths.test(url) ? proxy.fates.shift() : undefined
    if (fate) proxy.befallen++
    try {
      if (fate?.lost === 'request') return void request.socket.destroy()
      if (fate?.late) await Bun.sleep(fate.late)
      if (fate?.doubled !== undefined) {
        const duplicate = arrivesLater(forward, fate.doubled).finally(() => duplicates.delete(duplicate))
        duplicates.add(duplicate)
      }
      const forwarded = await forward()
      const text = await forwarded.text()
      if (isCut()) return sever()
      if (fate?.lost === 'answer') return void request.socket.destroy()
      const endToEndHeaders = [...forwarded.headers].filter(
        ([name]) => !['content-encoding', 'content-length', 'transfer-encoding'].includes(name),
      )
      answer.writeHead(forwarded.status, Object.fromEntries(endToEndHeaders)).end(text)
    } catch {
      request.socket.destroy()
    }
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const proxy: Between = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fates: [],
    befallen: 0,
    async duplicatesArrived() {
      await Promise.all(duplicates)
    },
    cut: undefined,
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
  return proxy
}

async function arrivesLater(forward: () => Promise<Response>, ms: number): Promise<void> {
  await Bun.sleep(ms)
  // A service that is down loses the duplicate.
  await forward().catch(() => undefined)
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}
