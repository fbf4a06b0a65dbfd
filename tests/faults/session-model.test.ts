import { afterAll, beforeAll, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { as } from '../harness.ts'
import { InstanceInTime } from './instance-in-time.ts'
import { type Access, differs, SETTINGS, type Session } from './session-model.ts'
import { CODES, SessionSteps, step } from './session-steps.ts'

/** A run that failed is run again by the seed and the path that it printed. */
const { SESSION_RUNS = '30', SESSION_SEED, SESSION_PATH } = process.env

setDefaultTimeout(Math.max(60_000, Number(SESSION_RUNS) * 2000))

const instance = new InstanceInTime(SETTINGS)
beforeAll(() => instance.start())
afterAll(() => instance.stop())

/** Asks about every token at every place that takes one: what works must be exactly what the model says. */
async function look(steps: SessionSteps): Promise<void> {
  const { model } = steps
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
  const wanted = session.refresh.map((_, place) => place === current && model.live(session))
  differs(`the refresh tokens of session ${model.sessions.indexOf(session)}`, alive, wanted)
}

test('after any sequence of what befalls sessions, the tokens that work are exactly those of the model', async () => {
  const sequence = fc.array(step, { minLength: 10, maxLength: 40, size: 'max' })
  await fc.assert(
    fc.asyncProperty(sequence, async (sequence) => {
      const steps = new SessionSteps(instance)
      await steps.begin()
      for (const step of sequence) {
        await steps.take(step)
        if (step.look) await look(steps)
      }
      await look(steps)
    }),
    {
      numRuns: Number(SESSION_RUNS),
      ...(SESSION_SEED === undefined ? {} : { seed: Number(SESSION_SEED) }),
      ...(SESSION_PATH === undefined ? {} : { path: SESSION_PATH }),
    },
  )
})
