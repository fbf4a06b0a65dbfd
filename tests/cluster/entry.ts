import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/** The address at which clients reach the primary, as a virtual address or a balancer gives it. */
export interface Entry {
  port: number
  /**
   * Leads new connections to another server, or to several by turns.
   * @param open what happens to those that are open: `close` as HAProxy's `shutdown-sessions`, `leave` as a virtual address
   * that moves without a word to the other side
   */
  leadTo(port: number | readonly number[], open: 'close' | 'leave'): void
  stop(): void
}

/** @param first the port of the server that connections lead to at first */
export async function startEntry(first: number): Promise<Entry> {
  let targets: readonly number[] = [first]
  let turn = 0
  const clients = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: targets[turn++ % targets.length] ?? first, host: '127.0.0.1', noDelay: true })
    clients.add(client)
    client.on('close', () => clients.delete(client))
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => undefined)
      from.on('data', (bytes) => to.writable && to.write(bytes))
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const closeAll = () => {
    for (const client of clients) client.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    leadTo(port, open) {
      targets = [port].flat()
      if (open === 'close') closeAll()
    },
    stop() {
      server.close()
      closeAll()
    },
  }
}
