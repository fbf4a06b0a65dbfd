import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { HOUR, SECOND } from '../../services/kit/clock.ts'
import { as } from '../support/http.ts'
import { WHOLE } from '../support/whole.ts'
import { InstanceInTime } from './instance-in-time.ts'
import { type Access, differs, SETTINGS, type Session } from './session-model.ts'
import { CODES, SessionSteps, step } from './session-steps.ts'

/** `SESSION_RUNS`: number of sequences. The printed `seed` and `path` repeat a failed one. */
const { SESSION_RUNS = WHOLE ? '30' : '7', SESSION_SEED, SESSION_PATH } = process.env

/** Milliseconds for all sequences: ten times what they take on a machine without other work. */
const TIME_LIMIT = 300_000 + Number(SESSION_RUNS) * 2000
setDefaultTimeout(TIME_LIMIT)

const instance = new InstanceInTime(SETTINGS)
beforeAll(() => instance.start())
afterAll(() => instance.stop())

const done = { sequences: 0, steps: 0, tokens: 0 }

/** Tries every token wherever one is accepted: exactly the tokens that the model calls valid must work. */
async function look(steps: SessionSteps): Promise<void> {
  const { model } = steps
  done.tokens += model.access.length + model.sessions.reduce((sum, { refresh }) => sum + refresh.length, 0)
  for (const access of model.access) await lookAtAccessToken(steps, access)
  for (const session of model.sessions) await lookAtRefreshTokens(steps, session)
  const ring = model.ring().map(({ kid }) => kid)
  differs('the keys', (await steps.ringKids()).sort(), ring.sort())
  for (const user of model.users) {
    const request = `GET /api/v1/auth/sessions?size=200&user_id=${user.id}`
    const { body } = await instance.askWithin('auth', request, as.operator)
    const listed = body.items.map(({ id }: { id: string }) => id).sort()
    const live = model.liveOf(user).map(({ id }) => id)
    differs('the sessions of a user', listed, live.sort())
  }
}

async function lookAtAccessToken({ model }: SessionSteps, access: Access): Promise<void> {
  const { session, token, exp, roles } = access
  const reasons = model.reasons(access)
  const bearer = as.bearer(token)
  const [validity, introspected, ...statuses] = await Promise.all([
    instance.askWithin('auth', 'POST /api/v1/auth/validate-token', bearer),
    instance.askWithin('auth', 'POST /api/v1/auth/introspect', as.internal, { token }),
    instance.askWithin('auth', 'GET /api/v1/auth/me', bearer),
    instance.askWithin('users', `GET /api/v1/users/${session.user.id}`, bearer),
    instance.askWithin('modules', 'GET /api/v1/modules/', bearer),
  ])
  const answers = statuses.map(({ status, body }) => (status === 200 ? 200 : body.code))
  const what = `an access token of session ${model.sessions.indexOf(session)}`
  if (reasons.length === 0) {
    const expires_at = new Date(exp * 1000).toISOString()
    const valid = { valid: true, user_id: session.user.id, session_id: session.id, roles, expires_at }
    differs(what, [validity.body, ...answers, introspected.body.active], [valid, 200, 200, 200, true])
    return
  }
  const codes: unknown[] = reasons.map((reason) => CODES[reason])
  const [first] = answers.filter((answer) => !codes.includes(answer))
  if (first !== undefined) differs(`${what}, dead for ${reasons},`, answers, codes)
  if (validity.body.valid || !reasons.includes(validity.body.reason)) differs(what, validity.body, reasons)
  differs(what, introspected.body, { active: false })
}

async function lookAtRefreshTokens({ model }: SessionSteps, session: Session): Promise<void> {
  const alive: unknown[] = []
  for (const token of session.refresh) {
    const { body } = await instance.askWithin('auth', 'POST /api/v1/auth/introspect', as.internal, { token })
    alive.push(body.active)
    if (!body.active) differs('a dead refresh token', body, { active: false })
  }
  const current = session.refresh.length - 1
  const expected = session.refresh.map((_, place) => place === current && model.live(session))
  differs(`the refresh tokens of session ${model.sessions.indexOf(session)}`, alive, expected)
}

test('checks 14 and 15: after any sequence of requests, restarts and crashes, exactly the tokens of the model are valid', async () => {
  const sequence = fc.array(step, { minLength: 15, maxLength: 40, size: 'max' })
  await fc.assert(
    fc.asyncProperty(sequence, async (sequence) => {
      const steps = new SessionSteps(instance)
      await steps.begin()
      for (const step of sequence) {
        await steps.take(step)
        done.steps++
        if (step.look) await look(steps)
      }
      await look(steps)
      done.sequences++
    }),
    {
      numRuns: Number(SESSION_RUNS),
      // Report the simplest failing sequence so far.
      interruptAfterTimeLimit: TIME_LIMIT - 10_000,
      markInterruptAsFailure: true,
      ...(SESSION_SEED === undefined ? {} : { seed: Number(SESSION_SEED) }),
      ...(SESSION_PATH === undefined ? {} : { path: SESSION_PATH, endOnFailure: true }),
    },
  )
  if (process.env.SESSION_RUNS !== undefined)
    console.log(
      `${done.sequences} sequences of ${done.steps} steps; ${done.tokens} times a token was as the model has it`,
    )
})

test('check 35: revoked tokens stay revoked when a clock that was an hour ahead is set back, twice', async () => {
  const steps = new SessionSteps(instance)
  await steps.begin()
  for (const action of ['login', 'login', 'logout', 'deleteSession', 'changeRoles', 'login'] as const)
    await steps.take({ action, which: 0, how: 1, look: false })
  await look(steps)
  const dead = steps.model.access.filter((access) => !steps.model.good(access)).length
  expect([dead, steps.model.access.length]).toEqual([4, 5])
  for (let round = 0; round < 2; round++) {
    await instance.pass(HOUR)
    await instance.pass(SECOND)
    await instance.pass(-HOUR)
    await look(steps)
    await instance.crash(0)
    await look(steps)
  }
})
