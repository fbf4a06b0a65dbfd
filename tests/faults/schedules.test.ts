import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { createUser, logIn, PASSWORD, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { WHOLE } from '../support/whole.ts'
import { type Between, type Fate, startProxy } from './proxy.ts'

setDefaultTimeout(120_000)

const USERS = 2
const { SCHEDULES = WHOLE ? '12' : '6', SCHEDULE_SEED, SCHEDULE_PATH } = process.env
const RUNS = Number(SCHEDULES)
/** Seed and path that a failure prints, to repeat it. */
const again = SCHEDULE_SEED ? { seed: Number(SCHEDULE_SEED), path: SCHEDULE_PATH ?? '0' } : {}

let system: System
let toAuth: Between
let toUsers: Between
beforeAll(async () => {
  toAuth = await startProxy(() => system.url.auth, /\/auth\/sync\//)
  toUsers = await startProxy(() => system.url.users)
  const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' }
  system = await processes('apart', env, {
    settingsOf: (name) =>
      name === 'users' ? { AUTH_URL: toAuth.url } : name === 'auth' ? { USERS_URL: toUsers.url } : {},
  })
})
afterAll(async () => {
  await system.stop()
  toAuth.stop()
  toUsers.stop()
})

const fate: fc.Arbitrary<Fate> = fc.oneof(
  fc.constant({}),
  fc.constantFrom<Fate>({ lost: 'request' }, { lost: 'answer' }),
  fc.integer({ min: 0, max: 120 }).map((late) => ({ late })),
  fc.integer({ min: 0, max: 200 }).map((doubled) => ({ doubled })),
)
// No change can follow a deletion, so the other changes are more frequent.
const change = fc.constantFrom(
  'password',
  'password',
  'email',
  'email',
  'disable',
  'enable',
  'roles',
  'roles',
  'delete',
)
const schedule = fc.record({
  changes: fc.array(fc.record({ change, user: fc.nat(USERS - 1), at: fc.nat(40) }), { minLength: 6, maxLength: 12 }),
  toAuth: fc.array(fate, { minLength: 8, maxLength: 24 }),
  toUsers: fc.array(fate, { maxLength: 6 }),
})

/** The state of a user that the users service has acknowledged. */
interface Acknowledged {
  user: TestUser
  email: string
  password: string
  status: 'active' | 'disabled'
  roles: string[]
  isDeleted: boolean
  /** Whether the user's first sessions have ended. */
  ended: boolean
}

let counter = 0

async function apply(kind: string, one: Acknowledged): Promise<void> {
  if (one.isDeleted) return
  const at = `/api/v1/users/${one.user.id}`
  const headers = as.operator
  const patch = (body: Record<string, unknown>) => call(system.url.users, `PATCH ${at}`, { headers, body })
  const done = ({ status, text }: { status: number; text: string }) => {
    // The users service answers, even when its notices are lost.
    if (status >= 300) throw new Error(`${kind}: ${status} ${text}`)
  }
  if (kind === 'password') {
    const password = `phrase number ${++counter}`
    done(await call(system.url.users, `POST ${at}/set-password`, { headers, body: { new_password: password } }))
    Object.assign(one, { password, ended: true })
  } else if (kind === 'email') {
    const email = `moved${++counter}-${one.user.email}`
    done(await patch({ email }))
    one.email = email
  } else if (kind === 'roles') {
    const roles = ['USER', `ROLE_${++counter}`]
    done(await patch({ roles }))
    one.roles = roles
  } else if (kind === 'delete') {
    done(await call(system.url.users, `DELETE ${at}`, { headers }))
    Object.assign(one, { isDeleted: true, ended: true })
  } else {
    const status = kind === 'disable' ? 'disabled' : 'active'
    done(await patch({ status }))
    if (status === 'disabled') one.ended = true
    one.status = status
  }
}

/** The state of the user in auth, as its clients see it. */
async function asAuthHasIt({ email, password, user }: Acknowledged) {
  const answer = await logIn(system, email, password)
  const token = answer.status === 200 ? await validationOf(answer.body.access_token) : null
  const old = await call(system.url.auth, 'POST /api/v1/auth/refresh', {
    body: { refresh_token: user.tokens.refresh_token },
  })
  if (old.status === 200) user.tokens = old.body
  const first = password === PASSWORD ? null : (await logIn(system, email, PASSWORD)).status
  return { login: answer.status, roles: token?.roles ?? null, ended: old.status === 401, first }
}

async function validationOf(token: string): Promise<{ roles: string[] }> {
  return (await call(system.url.auth, 'POST /api/v1/auth/validate-token', { body: { token } })).body
}

function expectedState({ ended, isDeleted, password, roles, status }: Acknowledged) {
  const login = isDeleted ? 401 : status === 'disabled' ? 403 : 200
  return { login, roles: login === 200 ? roles : null, ended, first: password === PASSWORD ? null : 401 }
}

test('check 34: with notices lost, late, doubled or reordered, users and auth agree in the end and keep every acknowledged change', async () => {
  const befallen = { before: toAuth.befallen + toUsers.befallen }
  await fc.assert(
    fc.asyncProperty(schedule, async ({ changes, ...fates }) => {
      toAuth.fates = []
      toUsers.fates = []
      const all: Acknowledged[] = []
      for (let n = 0; n < USERS; n++) {
        const user = await createUser(system)
        all.push({
          user,
          email: user.email,
          password: PASSWORD,
          status: 'active',
          roles: ['USER'],
          isDeleted: false,
          ended: false,
        })
      }
      toAuth.fates = [...fates.toAuth]
      toUsers.fates = [...fates.toUsers]
      const queues = all.map(() => Promise.resolve())
      for (const { change, user, at } of changes) {
        await Bun.sleep(at)
        const one = all[user]
        // Changes of one user are sequential, those of several users concurrent.
        if (one) queues[user] = (queues[user] ?? Promise.resolve()).then(() => apply(change, one))
      }
      await Promise.all(queues)
      toAuth.fates = []
      toUsers.fates = []
      await Promise.all([toAuth.duplicatesArrived(), toUsers.duplicatesArrived()])
      const agreed = async () =>
        JSON.stringify(await Promise.all(all.map(asAuthHasIt))) === JSON.stringify(all.map(expectedState))
      await eventually(agreed).catch(async () =>
        expect(await Promise.all(all.map(asAuthHasIt))).toEqual(all.map(expectedState)),
      )
    }),
    { numRuns: RUNS, endOnFailure: true, ...again },
  )
  if (!SCHEDULE_SEED) expect(toAuth.befallen + toUsers.befallen).toBeGreaterThan(befallen.before + RUNS)
})
