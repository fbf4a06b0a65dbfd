import { spyOn } from 'bun:test'
import { KeyRotation } from '../../services/auth/keys/rotation.ts'
import type { Mail } from '../../services/auth/mail/transport.ts'
import type { Clock } from '../../services/kit/clock.ts'
import { type Answer, call } from '../support/http.ts'
import { type InProcessSystem, inProcess } from '../support/system.ts'

interface Ticking {
  work(): void
  every: number
  next: number
}

/**
 * A system in this process on a clock that stands still until a test moves it. Whatever an instance does each second or
 * each minute happens when that much time has passed on this clock.
 */
export class InstanceInTime {
  readonly mails: Mail[] = []
  private time = Date.now()
  /** Milliseconds. Grows with each start: a restart of real processes outlasts the leases of the previous run. */
  private monotonic = 0
  private system: InProcessSystem | undefined
  private readonly ticking = new Set<Ticking>()
  private readonly rotationStarts = spyOn(KeyRotation.prototype, 'start')
  private readonly spies = [...this.takeIntervals(), this.rotationStarts]

  constructor(private readonly settings: Record<string, string>) {}

  now(): number {
    return this.time
  }

  async start(): Promise<void> {
    const clock: Clock = { now: () => this.time, monotonic: () => performance.now() + this.monotonic }
    const mailer = {
      send: async (mail: Mail) => {
        this.mails.push(mail)
      },
      close: () => undefined,
    }
    const settings = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', PUBLIC_URL: '' }
    this.system = await inProcess(settings, { clock, mailer, settingsOf: () => this.settings })
    this.monotonic += 1000
  }

  get url(): string {
    return this.system?.url.auth ?? ''
  }

  /** One request over HTTP. */
  ask(request: string, options: Parameters<typeof call>[2] = {}): Promise<Answer> {
    return call(this.url, request, options)
  }

  /** Hands one request to an app without HTTP, which is ten times as fast: for tests that send hundreds. */
  async askWithin(name: 'auth' | 'users' | 'modules', request: string, headers: Record<string, string>, body?: object) {
    const [method = 'GET', path = '/'] = request.split(' ')
    const app = this.system?.app(name)
    const answer = await app?.handle(
      new Request(`http://localhost${path}`, {
        method,
        headers: { ...headers, ...(body ? { 'content-type': 'application/json' } : {}) },
        ...(body ? { body: JSON.stringify(body) } : {}),
      }),
    )
    return { status: answer?.status ?? 0, body: (await answer?.json()) as Answer['body'] }
  }

  /**
   * Moves the clock. Work in intervals begins once, at the end; `settled` waits for the work on keys, which takes several
   * steps.
   */
  async pass(ms: number): Promise<void> {
    this.time += ms
    for (const tick of this.ticking) {
      if (this.time < tick.next) continue
      tick.next = this.time + tick.every
      tick.work()
    }
    // The check of the database shares a commit with everything written before.
    await this.askWithin('auth', 'GET /health/db', {})
  }

  /** Resolves when the rotation of keys has done what was due. */
  async settled(): Promise<void> {
    // biome-ignore lint/complexity/useLiteralKeys: only in this form the compiler allows access to a private member
    for (const rotation of this.rotationStarts.mock.contexts as KeyRotation[]) await rotation['lastCheck']
  }

  /** Sets the clock without time passing: intervals do not notice. */
  step(ms: number): void {
    this.time += ms
    for (const tick of this.ticking) tick.next += ms
  }

  /** Stops in an orderly way, and starts again `down` milliseconds later. */
  async restart(down: number): Promise<void> {
    await this.system?.terminate('auth')
    await this.startAgain(down)
  }

  /** Starts again `down` milliseconds later, with the databases as SIGKILL leaves them. */
  async crash(down: number): Promise<void> {
    await this.system?.kill('auth')
    await this.startAgain(down)
  }

  async stop(): Promise<void> {
    await this.system?.stop()
    for (const spy of this.spies) spy.mockRestore()
  }

  private async startAgain(down: number): Promise<void> {
    this.time += down
    await this.system?.start('auth')
    this.monotonic += 1000
  }

  private takeIntervals() {
    const begin = (work: () => void, every = 0) => {
      const tick = { work, every, next: this.time + every }
      this.ticking.add(tick)
      return tick
    }
    const end = (tick: Ticking | undefined) => {
      if (tick) this.ticking.delete(tick)
    }
    return [
      spyOn(globalThis, 'setInterval').mockImplementation(begin as unknown as typeof setInterval),
      spyOn(globalThis, 'clearInterval').mockImplementation(end as unknown as typeof clearInterval),
    ]
  }
}
