import { registerUser, type TestUser } from '../support/actors.ts'
import { type Answer, as, call } from '../support/http.ts'
import type { Name } from '../support/settings.ts'
import type { Cluster } from './cluster.ts'
import type { Fault, Faults } from './faults.ts'

/** Milliseconds between two probes of one kind at one node. */
const EVERY = 120
const MODULE = 'probes'

type When = Fault | 'no fault'

interface Measured {
  count: number
  /** Requests that were answered with 503, or with none at all. */
  refused: number
  /** Milliseconds. */
  longest: number
}

/** Measures what nodes without a fault answer while another node has one: reads with a token, and writes. */
export class Probes {
  /** By kind of request and of fault. */
  readonly measured = { read: new Map<When, Measured>(), write: new Map<When, Measured>() }
  private isOver = false
  private loops: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly system: Cluster,
    private readonly faults: Faults,
  ) {}

  async start(): Promise<void> {
    const { system } = this
    const body = { id: MODULE, name: 'Probes', description: 'What the probes switch' }
    await call(system.at(1).url.modules, 'POST /api/v1/modules', { headers: as.operator, body })
    const user = await registerUser(system.at(1))
    const reader = await registerUser(system.at(2))
    const reads: Partial<Record<Name, string>> = {
      auth: 'GET /auth/sessions',
      users: `GET /users/${reader.id}`,
      modules: 'GET /modules',
    }
    const loops = system.all().map(({ name, number, service }) =>
      this.repeat('read', name, () => {
        const request = (reads[service] ?? 'GET /health').replace(' ', ' /api/v1')
        return call(system.node(service, number).url, request, { headers: as.bearer(reader.tokens.access_token) })
      }),
    )
    for (const [service, write] of Object.entries(writesOf(user)))
      loops.push(
        this.repeat('write', service as Name, (round) => write(this.faults.healthy(service as Name, round).url, round)),
      )
    this.loops = Promise.all(loops)
  }

  /** Ends the probes. @returns a line for each kind of request */
  async stop(): Promise<string[]> {
    this.isOver = true
    await this.loops
    return Object.entries(this.measured).map(([kind, byFault]) => {
      const parts = [...byFault].map(
        ([when, { count, longest, refused }]) =>
          `${when} ${longest.toFixed(0)} ms (${count}, ${((100 * refused) / count).toFixed(1)} % refused)`,
      )
      return `longest ${kind} at other nodes: ${parts.join('; ')}`
    })
  }

  /** The longest time of all while nodes, not the database, had faults, in milliseconds. */
  longest(): number {
    const all = Object.values(this.measured).flatMap((byFault) => [...byFault.values()])
    return Math.max(0, ...all.map(({ longest }) => longest))
  }

  /** Sends a request again and again, unless its node has a fault. @param node its name, or that of a service */
  private async repeat(kind: 'read' | 'write', node: string, send: (round: number) => Promise<Answer>): Promise<void> {
    const { faults } = this
    for (let round = 0; !this.isOver; round++) {
      await Bun.sleep(EVERY)
      if (faults.node?.name === node) continue
      const before = faults.kind
      const sentAt = performance.now()
      const status = await send(round).then(
        (answer) => answer.status,
        () => 0,
      )
      // The node got a fault while it had the request.
      if (faults.node?.name === node || (kind === 'write' && status === 0)) continue
      const took = performance.now() - sentAt
      const when = before ?? faults.kind ?? 'no fault'
      const measured = this.measured[kind].get(when) ?? { count: 0, refused: 0, longest: 0 }
      measured.count++
      if (status === 0 || status >= 500) measured.refused++
      measured.longest = Math.max(measured.longest, took)
      this.measured[kind].set(when, measured)
    }
  }
}

/** A write at each service. Those of users and modules reach other services as well. */
function writesOf({ id, tokens }: TestUser): Partial<Record<Name, (url: string, round: number) => Promise<Answer>>> {
  let token = tokens.refresh_token
  return {
    async auth(url) {
      const answer = await call(url, 'POST /api/v1/auth/refresh', { body: { refresh_token: token } })
      if (answer.status === 200) token = answer.body.refresh_token
      return answer
    },
    users: (url, round) =>
      call(url, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { name: `Name ${round}` } }),
    modules: (url, round) =>
      call(url, `POST /api/v1/modules/${MODULE}/${round % 2 === 0 ? 'enable' : 'disable'}`, {
        headers: as.bearer(tokens.access_token),
      }),
  }
}
