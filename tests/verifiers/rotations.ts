/**
 * Rotates a key by hand and by age under load, in real time: `bun run verifiers`. Services in Node, Python and Go check
 * every token with their libraries' default caches. Takes four minutes; its exit status is 1 if a single token was
 * refused. `SIGNING_KEY_LEAD=0s` shows how many are refused when a key signs as soon as it is published.
 */
import { Database } from 'bun:sqlite'
import { join } from 'node:path'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { PROGRAMS, type ProgramName, Verifier } from './program.ts'

/** Seconds: before the rotation, after the new key has begun to sign, and the most that all of it may take. */
const BEFORE = 40
const AFTER = 45
const PATIENCE = 300
const SESSIONS = 6

const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)
const commands = Object.fromEntries(
  await Promise.all(Object.entries(PROGRAMS).map(async ([name, command]) => [name, await command()] as const)),
) as Record<ProgramName, string[]>

/** @param pause stops the load and resolves when no request is under way; its result resumes the load */
type Rotation = (system: System, pause: () => Promise<() => void>) => Promise<unknown>
const ROTATIONS: Record<string, Rotation> = {
  'by hand': ({ url }) => call(url.auth, 'POST /admin/keys/rotate', { headers: as.operator }),
  // The load pauses while auth restarts with a key that is too old, and resumes when auth is ready.
  'by age': async (system, pause) => {
    const goOn = await pause()
    await system.terminate('auth')
    const database = new Database(join(system.dataDir, 'auth.sqlite'))
    database.run('UPDATE signing_keys SET created_at = created_at - 7200000')
    database.close()
    await system.start('auth')
    goOn()
  },
}

/** One instance, whose key is rotated while its tokens are checked. */
class Watch {
  readonly verifiers: Verifier[] = []
  readonly refusedHere: string[] = []
  private readonly tokens: string[] = []
  private readonly began = performance.now()
  requests = 0
  publishedAt = 0
  signsAt = 0

  constructor(
    private readonly system: System,
    private readonly first: string,
  ) {}

  get seconds(): number {
    return (performance.now() - this.began) / 1000
  }

  /** Starts one more of each program, with an empty cache. */
  addVerifiers(): void {
    const jwks = `${this.system.url.auth}/.well-known/jwks.json`
    const issuer = String(decodeJwt(this.first).iss)
    for (const [name, command] of Object.entries(commands) as [ProgramName, string[]][])
      this.verifiers.push(new Verifier(name, [...command, jwks, issuer]))
  }

  /** Checks a token, and one of the first key, which stays valid, at each of our services and each verifier. */
  async check(token: string): Promise<void> {
    const { url } = this.system
    const id = decodeJwt(token).sub ?? ''
    const headers = as.bearer(token)
    const ours = [
      call(url.auth, 'GET /auth/me', { headers }),
      call(url.users, `GET /users/${id}`, { headers }),
      call(url.modules, 'GET /modules/', { headers }),
    ]
    const theirs = this.verifiers.flatMap((verifier) => [verifier.check(token), verifier.check(this.first)])
    for (const { body, status } of await Promise.all(ours)) {
      this.requests++
      if (status !== 200) this.refusedHere.push(`${status} ${body.code}`)
    }
    await Promise.all(theirs)
    if (kidOf(token) !== kidOf(this.first)) this.signsAt ||= this.seconds
    this.tokens.push(token)
  }

  async look(): Promise<void> {
    const { body } = await call(this.system.url.auth, 'GET /.well-known/jwks.json')
    if (body.keys.length > 1) this.publishedAt ||= this.seconds
  }

  /** @returns a line about each program, and the number of refused tokens */
  figures(): { line: string; refused: number }[] {
    return (Object.keys(PROGRAMS) as ProgramName[]).map((name) => {
      const verifiers = this.verifiers.filter((verifier) => verifier.name === name)
      const refused = verifiers.flatMap((verifier) => verifier.refused)
      for (const one of new Set(refused)) console.log(`✗ ${name}: ${one}`)
      const checked = verifiers.reduce((sum, verifier) => sum + verifier.checked, 0)
      return {
        line: `${name}: ${verifiers.length} verifiers, ${checked} checks, ${refused.length} refused`,
        refused: refused.length,
      }
    })
  }

  get made(): number {
    return this.tokens.length
  }
}

async function run(name: string, rotate: Rotation): Promise<number> {
  const system = await processes('apart', {
    RATE_LIMIT: 'off',
    LOG_LEVEL: 'silent',
    SIGNING_KEY_MAX_AGE: '1h',
    SIGNING_KEY_LEAD: process.env.SIGNING_KEY_LEAD ?? '2m',
  })
  const users = await Promise.all(Array.from({ length: SESSIONS }, () => registerUser(system)))
  const watch = new Watch(system, users[0]?.tokens.access_token ?? '')
  try {
    let gate: Promise<void> | undefined
    let underWay = 0
    const pause = async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      while (underWay > 0) await Bun.sleep(20)
      return resolve
    }
    const isOver = () => watch.seconds > PATIENCE || (watch.signsAt > 0 && watch.seconds > watch.signsAt + AFTER)
    const sessions = users.map(async ({ tokens }) => {
      let { refresh_token } = tokens
      while (!isOver()) {
        await gate
        underWay++
        const { body, status } = await call(system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
        watch.requests++
        if (status !== 200) watch.refusedHere.push(`${status} ${body.code}`)
        else {
          refresh_token = body.refresh_token
          await watch.check(body.access_token)
        }
        underWay--
        await Bun.sleep(400)
      }
    })
    let rotated = false
    for (let next = 0; !isOver(); await Bun.sleep(1000)) {
      if (watch.seconds >= next) {
        watch.addVerifiers()
        // Started at short intervals before the rotation, so that it meets caches of every age.
        next += watch.seconds < BEFORE ? 8 : 30
      }
      if (!rotated && watch.seconds > BEFORE) {
        rotated = true
        await rotate(system, pause)
      }
      await watch.look()
    }
    await Promise.all(sessions)
    const figures = watch.figures()
    for (const one of new Set(watch.refusedHere)) console.log(`✗ here: ${one}`)
    const lead = (watch.signsAt - watch.publishedAt).toFixed(1)
    console.log(
      [
        `${name}: ${watch.made} tokens; the new key was published at ${watch.publishedAt.toFixed(1)} s and signed ${lead} s later`,
        ...figures.map(({ line }) => line),
        `Ch202: ${watch.requests} requests, ${watch.refusedHere.length} refused`,
      ].join('\n  '),
    )
    const refused = figures.reduce((sum, one) => sum + one.refused, watch.refusedHere.length)
    return watch.signsAt > 0 ? refused : refused + 1
  } finally {
    await Promise.all(watch.verifiers.map((verifier) => verifier.stop()))
    await system.stop()
  }
}

const wrong = await Promise.all(Object.entries(ROTATIONS).map(([name, rotate]) => run(name, rotate)))
process.exitCode = wrong.every((count) => count === 0) ? 0 : 1
