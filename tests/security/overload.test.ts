import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { exchange, type RawAnswer } from '../support/sockets.ts'
import type { System } from '../support/system.ts'

const COST = '10'
const LOGINS = 500
const ACCOUNTS = 100
const ROUNDS = 3
/** Milliseconds by which a request may be slower than without logins. */
const P99_MOST = 100
const OTHER = 'quite another password'

/** Milliseconds of each `validate-token` during `work`, measured by another process. */
async function latencyDuring(system: System, token: string, work: () => Promise<void>): Promise<number[]> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'latency.ts')], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  child.stdin.write(`${system.url.auth}/api/v1\n${token}\n`)
  child.stdin.flush()
  const output = child.stdout.getReader()
  try {
    await output.read()
    await work()
    child.stdin.end()
    let text = ''
    for (let part = await output.read(); !part.done; part = await output.read())
      text += new TextDecoder().decode(part.value)
    return JSON.parse(text)
  } finally {
    child.kill()
  }
}

function p99(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1] ?? Number.POSITIVE_INFINITY
}

/** Logs in over a new connection: `fetch` sends at most 256 requests at once. */
function rawLogin(base: string, login: string, address: string): Promise<RawAnswer> {
  const body = JSON.stringify({ login, password: PASSWORD })
  const head = [
    'POST /api/v1/auth/login HTTP/1.1',
    'Host: localhost',
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    `X-Forwarded-For: ${address}`,
  ]
  return exchange(base, [...head, '', body].join('\r\n'), 250_000)
}

describe('500 logins at once, in one process', () => {
  const queue = 48
  const here = running(overProcesses('together'), {
    BCRYPT_COST: COST,
    HASH_QUEUE: String(queue),
    // Hashes have a low priority: on a busy machine the last ones wait for minutes.
    IDLE_TIMEOUT: '250s',
    TRUSTED_PROXIES: '127.0.0.1',
  })
  const { auth } = here

  const emailOf = (account: number) => `account${account}@example.org`
  const queued = async () => {
    const { text } = await auth('GET /metrics', { headers: as.operator })
    const lengths = [...text.matchAll(/^ch202_hash_queue_waiting\{[^}]*\} (\d+)$/gm)].map(([, length]) =>
      Number(length),
    )
    expect(lengths.length).toBeGreaterThan(0)
    return Math.max(...lengths)
  }

  test('check 31: the queue is bounded, the rest get Retry-After; requests without a hash stay quick', async () => {
    const owner = await registerUser(here.system)
    const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: Number(COST) })
    const people = Array.from({ length: ACCOUNTS }, (_, account) => ({ email: emailOf(account), password_hash }))
    await here.users('POST /users/import', {
      headers: { 'content-type': 'application/x-ndjson', ...as.operator },
      body: people.map((person) => JSON.stringify(person)).join('\n'),
    })
    await auth('POST /admin/password-cache/sync', { headers: as.operator })

    // The first login with an unknown name waits until the decoy hash is computed.
    expectProblem(await logIn(here.system, newEmail()), 401, 'invalid_credentials')

    const token = owner.tokens.access_token
    const most = P99_MOST + p99(await latencyDuring(here.system, token, () => Bun.sleep(500)))
    /** Waiting times of logins whose password was checked. */
    const waits: number[] = []
    const figures: number[] = []
    for (let round = 0; round < ROUNDS && Math.min(...figures) >= most; round++) {
      let longest = 0
      const times = await latencyDuring(here.system, token, async () => {
        const order: number[] = []
        const logins = Array.from({ length: LOGINS }, async (_, i) => {
          const began = performance.now()
          // Every fifth login is of an unknown user.
          const answer = await rawLogin(
            here.system.url.auth,
            i % 5 ? emailOf(i % ACCOUNTS) : newEmail(),
            `203.0.113.${i % 250}`,
          )
          order.push(answer.status)
          if (answer.status !== 503) waits.push(performance.now() - began)
          return answer
        })
        let over = false
        const watching = (async () => {
          while (!over) {
            longest = Math.max(longest, await queued())
            await Bun.sleep(20)
          }
        })()
        const refreshed = await auth('POST /auth/refresh', { body: { refresh_token: owner.tokens.refresh_token } })
        expect(refreshed.status).toBe(200)
        owner.tokens = refreshed.body
        const answers = await Promise.all(logins)
        over = true
        await watching

        const refused = answers.filter(({ status }) => status === 503)
        expect(new Set(order)).toEqual(new Set([503, 200, 401]))
        for (const { body, headers } of refused) {
          expect(body.code).toBe('overloaded')
          expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
        }
        // A slot that becomes free meanwhile is used by the next login.
        expect(LOGINS - refused.length).toBeWithin(queue + 1, 4 * queue)
        // Refusals are immediate, without waiting for earlier logins.
        expect(order.slice(-queue / 2)).not.toContain(503)
      })
      // The metric is sampled at intervals only.
      expect(longest).toBeWithin(queue / 2, queue + 1)
      expect(times.length).toBeGreaterThan(50)
      figures.push(p99(times))
    }
    // On a busy machine both are slow: requests without a hash must then be far quicker than those with one.
    const median = waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)] ?? 0
    expect(Math.min(...figures)).toBeLessThan(Math.max(most, median / 4))

    // Afterwards no slot, no count and no lockout is left.
    expect(await queued()).toBe(0)
    expect((await logIn(here.system, emailOf(0))).status).toBe(200)
    const { body } = await auth(`GET /admin/login-limits?login=${emailOf(0)}`, { headers: as.operator })
    expect(body.failures).toBe(0)
    expect((await auth('GET /auth/me', { headers: as.bearer(owner.tokens.access_token) })).status).toBe(200)
  }, 600_000)
})

describe('requests that need a hash while the queue is full, over four processes', () => {
  const here = running(overProcesses('apart'), { BCRYPT_COST: COST, HASH_QUEUE: '3' })
  const { auth, users } = here

  test('check 31: get Retry-After and change nothing; a reset link stays valid', async () => {
    const [user, spare] = [await registerUser(here.system), await registerUser(here.system)]
    let email = ''
    let token = ''
    const confirm = () => auth('POST /auth/password-reset-confirm', { body: { token, new_password: OTHER } })
    const turnedAway: Record<string, () => Promise<Answer>> = {
      'a registration': () => auth('POST /auth/register', { body: { email, password: PASSWORD } }),
      'a registration at users': () => users('POST /users', { body: { email, password: PASSWORD } }),
      'a change of the password': () =>
        users(`POST /users/${spare.id}/change-password`, {
          headers: as.bearer(spare.tokens.access_token),
          body: { current_password: 'a wrong one', new_password: OTHER },
        }),
      'a new password by an operator': () =>
        users(`POST /users/${spare.id}/set-password`, { headers: as.operator, body: { new_password: OTHER } }),
      'a login': () => logIn(here.system, spare.email, 'a wrong one'),
      'a new password by a link': async () => {
        token = await mailedToken(auth, here.system, user.email)
        return await confirm()
      },
    }
    /** Retries if a slot happened to be free. */
    const refusalOf = async (request: () => Promise<Answer>) => {
      for (let tries = 1; ; tries++) {
        email = newEmail()
        const answer = await request()
        if (answer.status === 503 || tries === 50) return answer
      }
    }

    // Refused clients retry at once, at both services that hash.
    let flooding = true
    const flood = Array.from({ length: 24 }, async (_, i) => {
      while (flooding) {
        if (i % 2) await logIn(here.system, newEmail())
        else await users('POST /users', { headers: as.operator, body: { email: newEmail(), password: PASSWORD } })
      }
    })
    try {
      for (const [what, request] of Object.entries(turnedAway)) {
        const answer = await refusalOf(request)
        expect([what, answer.body.code]).toEqual([what, 'overloaded'])
        expectProblem(answer, 503, 'overloaded')
        if (what.startsWith('a registration'))
          expectProblem(await users(`GET /users/by-email/${email}`, { headers: as.operator }), 404, 'user_not_found')
      }
      // A reset link can be requested: that needs no hash.
      const answer = await auth('POST /auth/password-reset-request', { body: { email: newEmail() } })
      expect(answer.status).toBe(202)
    } finally {
      flooding = false
      await Promise.all(flood)
    }

    expect((await confirm()).status).toBe(204)
    expect((await logIn(here.system, user.email, OTHER)).status).toBe(200)
    expectProblem(await logIn(here.system, user.email), 401, 'invalid_credentials')
  }, 600_000)
})
