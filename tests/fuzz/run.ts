import fc from 'fast-check'
import { serviceForPath } from '../../cli/client/routing.ts'
import { descriptorOf, SERVICE_NAMES, SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import type { OpenApiDocument } from '../openapi/document.ts'
import { PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import type { Layout } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { Actors, BASE } from './actors.ts'
import { tidy } from './cleanup.ts'
import { type Prepared, prepare } from './prepare.ts'
import { type Drawn, requestsOf } from './requests.ts'
import { sent, shown } from './sending.ts'
import { CANARY } from './values.ts'
import { otherCredentials, type Reply, Validator } from './verdict.ts'

/** Number of requests at once. */
const LINES = 24
const TIDY_EACH = 4000
const WARM = 0.15

export interface Plan {
  layout: Layout
  /** Whether rate limits are on (429): then requests come from many addresses. */
  limits: boolean
  requests: number
  seed: number
  /** Path of a failure, as printed: repeats that request, in one line of requests. */
  path?: string
}

export interface Figures {
  requests: number
  byStatus: Map<number, number>
  byKind: Map<string, number>
}

export interface Outcome extends Figures {
  failures: string[]
  /** Resident memory of the processes after the first part and at the end, in bytes. */
  memory: { early: number; late: number }
}

export function noFigures(): Figures {
  return { requests: 0, byStatus: new Map(), byKind: new Map() }
}

/** Starts a system, sends it the generated requests, and returns the faults. @param figures counted while it runs */
export async function fuzz(plan: Plan, figures: Figures = noFigures()): Promise<Outcome> {
  const system = await processes(plan.layout, {
    EMAIL_LOGIN: 'on',
    RATE_LIMIT: plan.limits ? 'on' : 'off',
    TRUSTED_PROXIES: '127.0.0.1',
    JWT_EXPIRE: '10m',
    // The log of a long run does not fit into memory.
    LOG_LEVEL: plan.requests > 50_000 ? 'warn' : 'info',
  })
  try {
    return await new Run(plan, system, figures).toTheEnd()
  } finally {
    await system.stop()
  }
}

class Run {
  private readonly neededIds = new Set<string>([BASE])
  private readonly failures: string[] = []
  /** Keys of faults already reported: each fault is reported once. */
  private readonly seenFaults = new Set<string>()
  private tidying: Promise<void> | undefined
  private tidyAt = TIDY_EACH
  private early = 0
  private readonly before: number

  constructor(
    private readonly plan: Plan,
    private readonly system: System,
    private readonly figures: Figures,
  ) {
    this.before = figures.requests
  }

  async toTheEnd(): Promise<Outcome> {
    const { limits, path, requests, seed } = this.plan
    const documents = await this.documents()
    const validator = new Validator(documents, limits)
    const drawn = requestsOf(documents)
    await call(this.system.url.modules, 'POST /modules', {
      headers: as.operator,
      body: { id: BASE, name: 'Base', description: 'What others require' },
    })
    const lines = path === undefined ? LINES : 1
    const runs = Math.ceil(requests / lines)
    await Promise.all(
      Array.from({ length: lines }, (_, index) =>
        this.line(validator, drawn, { numRuns: runs, seed: seed + index, path }),
      ),
    )
    await this.tidying
    await this.checkAfterwards()
    return { ...this.figures, failures: this.failures, memory: { early: this.early, late: await this.memory() } }
  }

  private async documents(): Promise<OpenApiDocument[]> {
    const documented = SERVICE_NAMES.filter((name) => descriptorOf(name).documentedRoutes)
    const bases = [...new Set(documented.map((name) => this.system.url[name]))]
    return await Promise.all(bases.map(async (base) => (await call(base, 'GET /swagger/json')).body))
  }

  /** Sends one request after the other, and shrinks a request whose answer is wrong. */
  private async line(
    validator: Validator,
    drawn: fc.Arbitrary<Drawn>,
    { numRuns, path, seed }: { numRuns: number; seed: number; path: string | undefined },
  ): Promise<void> {
    const actors = new Actors(this.system, this.neededIds)
    let done = 0
    for (let next = seed; done < numRuns; next += LINES) {
      let what = ''
      let last = ''
      const property = fc.asyncProperty(drawn, async (one) => {
        done++
        const { faults, key, description } = await this.ask(validator, actors, one)
        if (faults.length === 0 || this.seenFaults.has(key) || (what !== '' && what !== key)) return
        what = key
        last = description
        throw new Error(faults.join('; '))
      })
      const options = { numRuns: numRuns - done, seed: next, ...(path === undefined ? {} : { path }) }
      const result = await fc.check(property, options)
      if (result.failed && !this.seenFaults.has(what)) {
        this.seenFaults.add(what)
        this.failures.push(this.report(result, last))
      }
      if (path !== undefined) return
    }
  }

  private report(result: fc.RunDetails<[Drawn]>, description: string): string {
    const { layout, limits } = this.plan
    const { counterexample, counterexamplePath, errorInstance, seed } = result
    const again = `bun run fuzz --layout ${layout}${limits ? ' --limits' : ''} --seed ${seed} --path ${counterexamplePath}`
    const cause = errorInstance instanceof Error ? errorInstance.message : 'it failed'
    return [cause, description, JSON.stringify(counterexample?.[0]), again].join('\n  ')
  }

  private async ask(
    validator: Validator,
    actors: Actors,
    drawn: Drawn,
  ): Promise<{ faults: string[]; key: string; description: string }> {
    let { prepared, reply } = await this.send(actors, drawn)
    // Another request may have ended the session: try once more with a new one. A second refusal is a fault.
    const ended = reply.status === 401 && ENDED.has(reply.body?.code) && USERS.has(drawn.caller)
    if (ended && !otherCredentials(drawn)) {
      await actors.renew(drawn.caller)
      ;({ prepared, reply } = await this.send(actors, drawn))
    }
    // The machine may have been busy: only a request that is slow twice is a fault.
    if (reply.took > PROMPT) reply.took = Math.min(reply.took, (await this.send(actors, drawn)).reply.took)
    actors.learn(drawn, reply)
    await this.count(drawn, reply)
    const faults = validator.faults(drawn, prepared, reply)
    const [first = ''] = faults
    return { faults, key: `${drawn.call} ${first.slice(0, 60)}`, description: first && shown(drawn, prepared, reply) }
  }

  private async send(actors: Actors, drawn: Drawn): Promise<{ prepared: Prepared; reply: Reply }> {
    const headers = await actors.credentials(drawn)
    if (this.plan.limits) headers.push(['x-forwarded-for', actors.address(drawn.place)])
    const prepared = await prepare(drawn, headers, (name) => actors.lookUp(name))
    const raw = drawn.twists.find((twist) => twist.at === 'raw')
    return { prepared, reply: await sent(this.baseOf(drawn.call), prepared, raw?.at === 'raw' ? raw.how : undefined) }
  }

  private baseOf(call: string): string {
    return this.system.url[serviceForPath(call.split(' ')[1] ?? '') ?? 'auth']
  }

  private async count({ kind }: Drawn, { status }: Reply): Promise<void> {
    const { byKind, byStatus } = this.figures
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
    byKind.set(kind, (byKind.get(kind) ?? 0) + 1)
    const done = ++this.figures.requests - this.before
    if (done >= this.plan.requests * WARM && this.early === 0) {
      this.early = 1
      this.early = await this.memory()
    }
    if (done < this.tidyAt || this.tidying) return
    this.tidyAt += TIDY_EACH
    this.tidying = tidy(this.system, this.neededIds).finally(() => {
      this.tidying = undefined
    })
  }

  private async memory(): Promise<number> {
    const documented = SERVICE_NAMES.filter((name) => descriptorOf(name).documentedRoutes)
    const bases = [...new Set(documented.map((name) => this.system.url[name]))]
    const texts = await Promise.all(bases.map((base) => call(base, 'GET /metrics', { headers: as.operator })))
    return texts.reduce((sum, { text }) => sum + Number(RESIDENT.exec(text)?.[1]), 0)
  }

  /** Checks the log, and that every service is still healthy. */
  private async checkAfterwards(): Promise<void> {
    const printed = this.system.output()
    if (printed.includes(CANARY)) this.failures.push('a secret was logged')
    const trouble = /^.*(request\.failed|TypeError|"level":(50|60)).*$/m.exec(printed)
    if (trouble && this.failures.length === 0) this.failures.push(`it was logged: ${trouble[0]}`)
    for (const base of new Set(SERVICES_WITH_DATABASE.map((name) => this.system.url[name]))) {
      const { status, text } = await call(base, 'GET /health/db')
      if (status !== 200) this.failures.push(`${base} is not well at the end: ${status} ${text}`)
    }
  }
}

const RESIDENT = /^ch202_process_resident_memory_bytes\S* (\S+)$/m
const ENDED = new Set(['token_revoked', 'token_expired', 'invalid_token'])
const USERS = new Set(['user', 'other', 'admin'])
