import { type Watch, Writer } from '../faults/ledger.ts'
import { registerUser, type TestUser } from '../support/actors.ts'
import { type Answer, as, call } from '../support/http.ts'
import type { Cluster } from './cluster.ts'
import { askEveryNode } from './every-node.ts'

const WRITERS = 6
const LOGOUTS = 2
/** Milliseconds that a client waits after a refusal, and between two checks of a token. */
const PAUSE = 40
/** The module that users choose and leave. */
const MODULE = 'failover'

/** Faults of a run. Each list is empty when all promises hold. */
export interface Faults {
  /** Answers that are neither a success nor 503 `database_unavailable`, and requests without an answer. */
  wrong: string[]
  /** Nodes that were ready, and accepted a token after the answer to its logout. */
  accepted: string[]
  /** Nodes that refused a valid token, or did not check it. */
  refused: string[]
  /** Differences between what was acknowledged and what is there. */
  lost: string[]
}

function noFaults(): Faults {
  return { wrong: [], accepted: [], refused: [], lost: [] }
}

/** Clients that write and check tokens without a pause, and remember what was acknowledged. */
export class Load {
  /** Faults since the last `start`. */
  faults = noFaults()
  /**
   * Acknowledged writes, answers 503, logouts, checks of tokens, and how often a node that has lost the database accepted a
   * token that others had ended.
   */
  counts = { writes: 0, unavailable: 0, logouts: 0, checks: 0, cutOff: 0 }
  /**
   * Whether nodes may still have connections to an old primary that answers reads: then a user or a session that was just
   * written may not be found. What `compare` finds must be complete all the same.
   */
  mayBeStale = false
  /** When writes were acknowledged; monotonic milliseconds. */
  private times: number[] = []
  private readonly writers: Writer[]
  private readonly ended: string[] = []
  private isOver = true
  private work: Promise<unknown> = Promise.resolve()

  private constructor(
    private readonly system: Cluster,
    private readonly holder: TestUser,
  ) {
    const newWriter = () =>
      new Writer(system, Math.random, MODULE, this.watch, () => (this.mayBeStale ? [401, 404] : []))
    this.writers = Array.from({ length: WRITERS }, newWriter)
  }

  /** Makes the clients. They begin with `start`. */
  static async of(system: Cluster): Promise<Load> {
    const body = { id: MODULE, name: 'Failover', description: '' }
    await call(system.url.modules, 'POST /api/v1/modules', { headers: as.operator, body })
    return new Load(system, await registerUser(system))
  }

  start(): void {
    this.isOver = false
    this.faults = noFaults()
    this.times = []
    this.work = Promise.all([
      ...this.writers.map((writer) => writer.write(() => this.isOver)),
      ...Array.from({ length: LOGOUTS }, () => this.until(() => this.logOut())),
      this.until(() => this.checkEnded()),
      this.until(() => this.checkValid()),
      this.until(() => this.validate()),
    ])
  }

  /** Ends the clients. @throws what one of them has met */
  async stop(): Promise<void> {
    this.isOver = true
    await this.work
    this.mayBeStale = false
  }

  /** Compares what is there with what was acknowledged. */
  async compare(): Promise<void> {
    const differences = await Promise.all(this.writers.map((writer) => writer.differences()))
    this.faults.lost.push(...differences.flat())
    for (const token of this.ended.slice(-100)) await this.check(token, 'ended')
  }

  /** The longest time without an acknowledged write, of the times that end after `since`. Milliseconds. */
  pauseSince(since: number): number {
    const gaps = this.times.map((time, at) => (time < since ? 0 : time - (this.times[at - 1] ?? since)))
    return Math.max(...gaps, 0)
  }

  private readonly watch: Watch = async (request, answer) => {
    if (answer === undefined) return void this.faults.wrong.push(`${request}: no answer`)
    if (answer.status < 300) this.acknowledge()
    else if (answer.status === 503 && answer.body.code === 'database_unavailable') await this.pauseAfterRefusal()
    else if (answer.status >= 500) this.faults.wrong.push(`${request}: ${answer.status} ${answer.text}`)
  }

  private acknowledge(): void {
    this.counts.writes++
    this.times.push(performance.now())
  }

  private async pauseAfterRefusal(): Promise<void> {
    this.counts.unavailable++
    await Bun.sleep(PAUSE)
  }

  private async until(work: () => Promise<void>): Promise<void> {
    while (!this.isOver) await work()
  }

  /** @returns the answer to a write that was made */
  private async write(request: string, options: Parameters<typeof call>[2]): Promise<Answer | undefined> {
    const answer = await call(this.system.url.auth, request, options).catch(() => undefined)
    await this.watch(request, answer)
    if (answer && answer.status >= 300 && answer.status < 500) this.faults.wrong.push(`${request}: ${answer.text}`)
    return answer && answer.status < 300 ? answer : undefined
  }

  private async logOut(): Promise<void> {
    const email = `${Bun.randomUUIDv7()}@example.org`
    const body = { email, password: 'correct horse battery' }
    const registered = await this.write('POST /api/v1/auth/register', { body })
    if (!registered) return
    const token: string = registered.body.tokens.access_token
    await this.check(token, 'valid')
    if (!(await this.write('POST /api/v1/auth/logout', { headers: as.bearer(token) }))) return
    this.counts.logouts++
    await this.check(token, 'ended')
    this.ended.push(token)
  }

  private async checkEnded(): Promise<void> {
    const token = this.ended[Math.floor(Math.random() * this.ended.length)]
    if (token !== undefined) await this.check(token, 'ended')
    await Bun.sleep(PAUSE)
  }

  private async checkValid(): Promise<void> {
    await this.check(this.holder.tokens.access_token, 'valid')
    await Bun.sleep(PAUSE)
  }

  /**
   * Uses a token at every node. Without the database most requests are 503, whatever the token is. A node that has lost the
   * database, so that balancers send it nothing, may accept what others have ended meanwhile.
   */
  private async check(token: string, state: 'valid' | 'ended'): Promise<void> {
    const ready = state === 'ended' ? await this.readyNodes() : new Set<string>()
    const answers = Object.entries(await askEveryNode(this.system, token))
    for (const [node, answer] of answers) {
      this.counts.checks++
      if (answer === 'database_unavailable') continue
      if (answer === 200 && state === 'ended') {
        if (ready.has(node)) this.faults.accepted.push(node)
        else this.counts.cutOff++
      } else if (answer === 'token_revoked' && state === 'valid') this.faults.refused.push(node)
      else if (answer !== 200 && answer !== 'token_revoked') this.faults.wrong.push(`${node}: ${answer}`)
    }
  }

  private async readyNodes(): Promise<Set<string>> {
    const answers = await Promise.all(
      this.system
        .all()
        .map(async ({ name, url }) => ({ name, isReady: (await call(url, 'GET /health/ready')).status === 200 })),
    )
    return new Set(answers.flatMap(({ isReady, name }) => (isReady ? [name] : [])))
  }

  /** Lets every node of auth validate a token: this continues without the database. */
  private async validate(): Promise<void> {
    const body = { token: this.holder.tokens.access_token }
    await Promise.all(
      this.system.nodes.auth.map(async ({ name, url }) => {
        const request = call(url, 'POST /api/v1/auth/validate-token', { headers: as.internal, body })
        const answer = await request.catch(() => undefined)
        this.counts.checks++
        if (answer?.body.valid !== true) this.faults.refused.push(`${name}: ${answer?.text}`)
      }),
    )
    await Bun.sleep(PAUSE)
  }
}
