import { spyOn } from 'bun:test'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Mail } from '../../services/auth/mail/transport.ts'
import type { Clock } from '../../services/kit/clock.ts'
import { readConfig } from '../../services/kit/process/config.ts'
import { SERVICES } from '../../services/registry.ts'
import { type Served, serve } from '../../services/serve.ts'
import { type Answer, call } from '../support/http.ts'
import { INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'

const FILES = ['auth', 'users', 'modules'].flatMap((name) => [`${name}.sqlite`, `${name}.sqlite-wal`])

interface Ticking {
  work(): void
  every: number
  next: number
}

/**
 * The three services in this process, over their files and HTTP, on a clock that stands still until it is told to go on:
 * what an instance does each second and each minute happens when so much has passed here.
 */
export class InstanceInTime {
  readonly mails: Mail[] = []
  private time = Date.now()
  /** A restart of real services takes longer than the leases of those who followed the run before. */
  private monotonic = 0
  private directory = mkdtempSync(join(tmpdir(), 'ch202-in-time-'))
  private served: Served | undefined
  private readonly ticking = new Set<Ticking>()
  private readonly mask = process.umask()
  private readonly spies = this.takeIntervals()

  constructor(private readonly settings: Record<string, string>) {}

  now(): number {
    return this.time
  }

  async start(): Promise<void> {
    const config = readConfig(
      {
        CH202_ENV: 'test',
        CH202_DATA_DIR: this.directory,
        CH202_URL: 'http://127.0.0.1:0',
        INTERNAL_API_KEY: INTERNAL_KEY,
        OPERATOR_API_KEY: OPERATOR_KEY,
        CH202_SECRET: 'secret-of-the-tests-0123456789-0123456789abc',
        BCRYPT_COST: '4',
        RATE_LIMIT: 'off',
        LOG_LEVEL: 'silent',
        ...this.settings,
      },
      SERVICES,
    )
    const clock: Clock = { now: () => this.time, monotonic: () => performance.now() + this.monotonic }
    const mailer = {
      send: async (mail: Mail) => {
        this.mails.push(mail)
      },
      close: () => undefined,
    }
    this.served = await serve(config, undefined, { runtime: { clock }, mailer })
    this.monotonic += 1000
  }

  get url(): string {
    return this.served?.url ?? ''
  }

  /** One request over HTTP. */
  ask(request: string, options: Parameters<typeof call>[2] = {}): Promise<Answer> {
    return call(this.url, request, options)
  }

  /** One request that an app gets from here, ten times as fast: for what is asked by the hundred. */
  async askWithin(name: 'auth' | 'users' | 'modules', request: string, headers: Record<string, string>, body?: object) {
    const [method = 'GET', path = '/'] = request.split(' ')
    const app = this.served?.apps[1 + ['auth', 'users', 'modules'].indexOf(name)]
    const answer = await app?.handle(
      new Request(`http://localhost${path}`, {
        method,
        headers: { ...headers, ...(body ? { 'content-type': 'application/json' } : {}) },
        ...(body ? { body: JSON.stringify(body) } : {}),
      }),
    )
    return { status: answer?.status ?? 0, body: (await answer?.json()) as Answer['body'] }
  }

  /** Time goes on. What happens in intervals happens once, at the end of it. */
  async pass(ms: number): Promise<void> {
    this.time += ms
    for (const tick of this.ticking) {
      if (this.time < tick.next) continue
      tick.next = this.time + tick.every
      tick.work()
    }
    // What that wrote shares a commit with this.
    await this.askWithin('auth', 'GET /health/db', {})
  }

  /** The clock is set: no time goes on, and what happens in intervals does not notice. */
  step(ms: number): void {
    this.time += ms
    for (const tick of this.ticking) tick.next += ms
  }

  /** Stops as it is asked to, and starts again when so many milliseconds have passed. */
  async restart(down: number): Promise<void> {
    await this.served?.stop()
    this.time += down
    await this.start()
  }

  /** Starts again with the files as they are in this moment, as after SIGKILL. */
  async crash(down: number): Promise<void> {
    const [before, after] = [this.directory, mkdtempSync(join(tmpdir(), 'ch202-in-time-'))]
    for (const file of FILES) if (existsSync(join(before, file))) copyFileSync(join(before, file), join(after, file))
    await this.served?.stop()
    rmSync(before, { recursive: true, force: true })
    this.directory = after
    this.time += down
    await this.start()
  }

  async stop(): Promise<void> {
    await this.served?.stop()
    for (const spy of this.spies) spy.mockRestore()
    process.umask(this.mask)
    rmSync(this.directory, { recursive: true, force: true })
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
