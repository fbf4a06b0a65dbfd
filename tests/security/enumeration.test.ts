import { beforeAll, describe, expect, test } from 'bun:test'
import { PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { areEven, timesApart } from './timing.ts'

const KINDS = ['unknown', 'wrong', 'disabled'] as const
type Kind = (typeof KINDS)[number]
/** Fewer failures than cause a lockout. */
const GUESSES = 9
const PEOPLE = 250

/** The login routes, and the names of their fields. */
const DOORS = [
  ['/api/v1/auth/login', 'email'],
  ['/api/v1/auth/login', 'username'],
  ['/api/v1/auth/login', 'login'],
  ['/auth/login', 'email'],
  ['/login', 'username'],
] as const

const usernameOf = (kind: Kind, person: number) => `${kind}.${person}`
const emailOf = (kind: Kind, person: number) => `${usernameOf(kind, person)}@example.org`

describe('the existence of an account, over four processes', () => {
  // The cheapest hash hides timing the least. Rate limits are on: their counters must not reveal anything either.
  const here = running(overProcesses('apart'), { TRUSTED_PROXIES: '127.0.0.1' })

  beforeAll(async () => {
    const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
    const people = (['wrong', 'disabled'] as const).flatMap((kind) =>
      Array.from({ length: PEOPLE }, (_, person) => ({
        email: emailOf(kind, person),
        username: usernameOf(kind, person),
        status: kind === 'disabled' ? 'disabled' : 'active',
        password_hash,
      })),
    )
    const { status } = await here.users('POST /users/import', {
      headers: { 'content-type': 'application/x-ndjson', ...as.operator },
      body: people.map((person) => JSON.stringify(person)).join('\n'),
    })
    expect(status).toBe(200)
    await here.auth('POST /admin/password-cache/sync', { headers: as.operator })
  })

  /** A guess at an account of this kind, from an address of its own. */
  const guess = (kind: Kind, n: number, door: number) => {
    const [path, field] = DOORS[door % DOORS.length] ?? DOORS[0]
    const person = Math.floor(n / GUESSES) % PEOPLE
    const name = field === 'email' ? emailOf(kind, person) : usernameOf(kind, person)
    const address = `10.${KINDS.indexOf(kind)}.${n >> 8}.${n & 255}`
    return call(here.system.url.auth, `POST ${path}`, {
      body: { [field]: name, password: `not the password ${n}` },
      headers: { 'x-forwarded-for': address, 'x-request-id': 'the-same' },
    })
  }

  test('check 28: is not revealed: unknown name, wrong password and disabled account give the same bytes in the same time', async () => {
    const answers = new Set<string>()
    const apart = await timesApart({
      kinds: KINDS,
      // The call to users takes longest between processes.
      blocks: 84,
      ofEach: 8,
      ask: async (kind, n, block) => {
        const { headers, status, text } = await guess(kind, n, block)
        headers.delete('date')
        answers.add(JSON.stringify([status, text, ...headers]))
      },
    })
    expect([...answers]).toHaveLength(1)
    expect([...answers][0]).toContain('invalid_credentials')
    expect(areEven(apart) || apart).toBe(true)
  }, 600_000)
})
