import { describe, expect, test } from 'bun:test'
import type { Way as RequestWay } from '../../services/kit/caller.ts'
import { operationsOf } from '../openapi/document.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { invitation, nextMail, requested } from '../support/challenges.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailsTo } from '../support/mails.ts'
import { callByPages, pagesHeader } from '../support/pages.ts'
import { running } from '../support/running.ts'
import { inProcess, type System } from '../support/system.ts'

// Check 45: every way in × every state of an account, by the API and on the pages. Each ends in one decision (`assurance/decision.ts`).

/** A user in some state, who can still get mails. */
interface Person {
  id: string
  email: string
}

/** The states of an account, each with how a user gets there. `change` comes when the way in has been prepared. */
const STATES = {
  verified: { fields: { email_verified: true } },
  unverified: { fields: {} },
  disabled: { fields: { email_verified: true }, change: { status: 'disabled' } },
  'without a password': { fields: { email_verified: true, password: undefined } },
} satisfies Record<string, { fields: object; change?: object }>
type State = keyof typeof STATES

interface Way {
  /** The operations that the way needs, as the documents call them. */
  calls: string[]
  /** Prepares what the user needs, while their account is active; gives what enters. */
  prepare(system: System, person: Person, by: RequestWay): Promise<() => Promise<Answer>>
  /** The end in each state, by what the installation asks for: the status and the code of the problem. */
  ends: Record<Policy, Record<State, string>>
  /** The methods in the token. */
  amr: string[]
}

/** The proof that an installation asks for beside a password. */
type Policy = 'nothing' | 'verified addresses' | 'known devices'

interface Installation {
  /** The settings that the decision reads. */
  settings: Record<string, string>
  asks: Record<RequestWay, Policy>
}

const everyWay = (policy: Policy) => ({ api: policy, pages: policy })
const INSTALLATIONS: Record<string, Installation> = {
  usual: { settings: {}, asks: everyWay('nothing') },
  'that requires verified addresses': {
    settings: { EMAIL_VERIFICATION: 'required' },
    asks: everyWay('verified addresses'),
  },
  'that confirms devices': { settings: { DEVICE_TRUST: 'all' }, asks: everyWay('known devices') },
  'that confirms devices on the pages': {
    settings: { DEVICE_TRUST: 'pages' },
    asks: { api: 'nothing', pages: 'known devices' },
  },
  'that confirms no devices': { settings: { DEVICE_TRUST: 'off' }, asks: everyWay('nothing') },
}

const DISABLED = '403 account_disabled'
const WRONG = '401 invalid_credentials'
const byPassword = (success: Record<Policy, [verified: string, unverified: string]>): Way['ends'] => {
  const ends = Object.entries(success).map(([policy, [verified, unverified]]) => [
    policy,
    { verified, unverified, disabled: DISABLED, 'without a password': WRONG },
  ])
  return Object.fromEntries(ends)
}
const PASSWORD_ENDS = byPassword({
  nothing: ['200', '200'],
  'verified addresses': ['200', '403 email_not_verified'],
  'known devices': ['403 device_confirmation_required', '200'],
})
const everywhere = (ends: Record<State, string>): Way['ends'] => ({
  nothing: ends,
  'verified addresses': ends,
  'known devices': ends,
})
/** Disabling an account voids what was mailed before. */
const VOID = '400 invalid_challenge'
const VOID_RESET = '400 invalid_reset_token'
const MAIL_ENDS = everywhere({ verified: '200', unverified: '200', disabled: VOID, 'without a password': '200' })

const SEND: Record<RequestWay, typeof call> = { api: call, pages: callByPages }
const post = ({ url }: System, by: RequestWay, path: string, body: object) =>
  SEND[by](url.auth, `POST ${path}`, { body })
const password = (path: string, field = 'email') => ({
  async prepare(system: System, { email }: Person, by: RequestWay) {
    return () => post(system, by, path, { [field]: email, password: PASSWORD })
  },
  ends: PASSWORD_ENDS,
  amr: ['pwd'],
})
const emailCode = (proof: 'code' | 'token'): Way => ({
  calls: ['POST /auth/email-code-login'],
  async prepare(system, { email }, by) {
    const path = 'email-code-request'
    const headers = by === 'pages' ? pagesHeader(`POST /api/v1/auth/${path}`) : {}
    const { challenge_id, code, token } = await requested(system, path, { email }, headers)
    const body = proof === 'code' ? { challenge_id, code } : { token }
    return () => post(system, by, '/api/v1/auth/email-code-login', body)
  },
  ends: MAIL_ENDS,
  amr: ['email'],
})

const WAYS: Record<string, Way> = {
  'a password': { calls: ['POST /auth/login'], ...password('/api/v1/auth/login') },
  'a password, bare form': { calls: [], ...password('/login', 'login') },
  'a password, v0': { calls: ['POST /auth/login (v0)'], ...password('/auth/login') },
  'a code by mail': emailCode('code'),
  'a link by mail': emailCode('token'),
  'a reset, then the new password': {
    calls: [],
    async prepare(system, { email }, by) {
      const before = mailsTo(system, email).length
      await post(system, by, '/api/v1/auth/password-reset-request', { email })
      const { token } = await nextMail(system, email, before)
      return async () => {
        const new_password = 'a wholly new password'
        const reset = await post(system, by, '/api/v1/auth/password-reset-confirm', { token, new_password })
        const login = { login: email, password: new_password }
        return reset.status === 204 ? await post(system, by, '/api/v1/auth/login', login) : reset
      }
    },
    // A reset proves the address.
    ends: {
      ...everywhere({ ...none('200'), disabled: VOID_RESET }),
      'known devices': { ...none('403 device_confirmation_required'), disabled: VOID_RESET },
    },
    amr: ['pwd'],
  },
  'the code of a new device': {
    calls: ['POST /auth/device-confirm'],
    async prepare(system, { email }, by) {
      const before = mailsTo(system, email).length
      const login = await post(system, by, '/api/v1/auth/login', { login: email, password: PASSWORD })
      // Elsewhere the login is complete, or asks for something else: there is no challenge of a device.
      if (login.body.code !== 'device_confirmation_required')
        return () => post(system, by, '/api/v1/auth/device-confirm', { challenge_id: 'none', code: '000000' })
      const { challenge_id } = login.body
      const { code } = await nextMail(system, email, before)
      return () => post(system, by, '/api/v1/auth/device-confirm', { challenge_id, code })
    },
    ends: {
      ...everywhere(none(VOID)),
      'known devices': { ...none(VOID), verified: '200' },
    },
    amr: ['pwd', 'rba'],
  },
  'an invitation': {
    calls: ['POST /auth/invitation-accept'],
    async prepare(system, { email, id }, by) {
      const user = await call(system.url.users, `GET /api/v1/users/${id}`, { headers: as.operator })
      // A user with a password cannot be invited.
      const token = user.body.has_password ? 'none' : await invitation(system, email)
      const body = { token, new_password: 'a wholly new password' }
      return () => post(system, by, '/api/v1/auth/invitation-accept', body)
    },
    ends: everywhere({ ...none(VOID), 'without a password': '200' }),
    amr: ['email'],
  },
  'a registration': {
    calls: ['POST /auth/register'],
    async prepare(system, _, by) {
      return () => post(system, by, '/api/v1/auth/register', { email: newEmail(), password: PASSWORD })
    },
    // It makes the account: there is no other state.
    ends: {
      nothing: none('201'),
      'verified addresses': none('201 without tokens'),
      'known devices': none('201'),
    },
    amr: ['pwd'],
  },
}

function none(end: string): Record<State, string> {
  return { verified: end, unverified: end, disabled: end, 'without a password': end }
}

/** Calls that answer with tokens and open no session: they continue one. */
const NO_WAYS = [
  'POST /auth/refresh',
  'POST /auth/token/refresh',
  'POST /auth/refresh (v0)',
  'POST /auth/reauthenticate',
]

describe.each(Object.entries(INSTALLATIONS))('an installation %s', (_, { asks, settings }) => {
  const here = running(inProcess, { EMAIL_LOGIN: 'on', RATE_LIMIT: 'off', ...settings })

  const newPerson = async (state: State): Promise<Person> => {
    const email = newEmail()
    const body = { email, password: PASSWORD, ...STATES[state].fields }
    const { body: user } = await here.users('POST /users', { headers: as.operator, body })
    return { id: user.id, email }
  }

  const rows = Object.entries(WAYS).flatMap(([name, way]) =>
    (['api', 'pages'] as const).map((by) => [name, by === 'api' ? 'by the API' : 'on the pages', way, by] as const),
  )
  describe.each(rows)('check 45: by %s, %s', (_name, _by, way, by) => {
    test.each(Object.entries(way.ends[asks[by]]) as [State, string][])(
      'an account that is %s: %s',
      async (state, end) => {
        const person = await newPerson(state)
        const enter = await way.prepare(here.system, person, by)
        const { change } = STATES[state] as { change?: object }
        if (change) await here.users(`PATCH /users/${person.id}`, { headers: as.operator, body: change })
        const answer = await enter()
        expect(endOf(answer)).toBe(end)
        if (!/^20[01]$/.test(end)) {
          expect(answer.text).not.toContain('access')
          return
        }
        const token = accessTokenOf(answer)
        const { body: claims } = await here.auth('POST /auth/introspect', { headers: as.operator, body: { token } })
        expect({ active: claims.active, amr: claims.amr }).toEqual({ active: true, amr: way.amr })
        expect(Math.abs(claims.auth_time - Date.now() / 1000)).toBeLessThan(60)
      },
    )
  })
})

test('check 45: every call that answers with an access token is a way in of the table', async () => {
  const system = await inProcess()
  try {
    const { body } = await call(system.url.auth, 'GET /swagger/json')
    const calls = operationsOf(body)
      .filter(({ operation }) => /"(access_token|accessToken)"/.test(JSON.stringify(operation.responses)))
      .map(({ call: name, operation }) => {
        const path = name.replace('/api/v1', '')
        return operation.tags?.includes('v0') ? `${path} (v0)` : path
      })
      .filter((name) => !NO_WAYS.includes(name))
    const inTable = Object.values(WAYS).flatMap((way) => way.calls)
    expect([...new Set(calls)].toSorted()).toEqual([...new Set(inTable)].toSorted())
  } finally {
    await system.stop()
  }
})

function endOf({ body, status }: Answer): string {
  if (status === 201 && body.tokens === null) return '201 without tokens'
  return body.code === undefined ? String(status) : `${status} ${body.code}`
}

function accessTokenOf({ body }: Answer): string {
  return body.access_token ?? body.accessToken ?? body.tokens?.access_token
}
