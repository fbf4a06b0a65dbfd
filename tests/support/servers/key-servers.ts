import { afterAll } from 'bun:test'
import type { JWK } from 'jose'
import type { ClientKey } from '../oauth/clients.ts'

/** A server of a client's JWKS. Tests change what it answers. */
export class KeyServer {
  keys: JWK[] = []
  requests = 0
  /** Answers in place of the JWKS. */
  answers: (() => Response | Promise<Response>) | undefined
  private readonly server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () => {
      this.requests++
      return this.answers?.() ?? Response.json({ keys: this.keys })
    },
  })

  get url(): string {
    return `http://127.0.0.1:${this.server.port}/jwks.json`
  }

  async close(): Promise<void> {
    await this.server.stop(true)
  }
}

/** Opens servers of keys for the tests of the `describe` that calls it, and closes them after its tests. */
export function keyServers(): (...keys: ClientKey[]) => KeyServer {
  const open: KeyServer[] = []
  afterAll(async () => {
    await Promise.all(open.map((server) => server.close()))
  })
  return (...keys) => {
    const server = new KeyServer()
    server.keys = keys.map(({ jwk }) => jwk)
    open.push(server)
    return server
  }
}
