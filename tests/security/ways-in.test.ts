import { describe, expect, test } from 'bun:test'
import { operationsOf } from '../openapi/document.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { invitation, nextMail, requested } from '../support/challenges.ts'
import { type Answer, as, call } from '../support/http.ts'
import { mailsTo } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcess, type System } from '../support/system.ts'

// Check 45: every way in × every state of an account. Each ends in one decision (`assurance/decision.ts`).

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
  prepare(system: System, person: Person): Promise<() => Promise<Answer>>
  /** The end in each state, by the installation: the status and the code of the problem. */
  ends: Record<Installation, Record<State, string>>
  /** The methods in the token. */
  amr: string[]
}

/** The settings that the decision reads. */
const INSTALLATIONS = {
  usual: { EMAIL_LOGIN: 'on' },
  'that requires verified addresses': { EMAIL_LOGIN: 'on', EMAIL_VERIFICATION: 'required' },
  'that confirms devices': { EMAIL_LOGIN: 'on', DEVICE_TRUST: 'all' },
}
type Installation = keyof typeof INSTALLATIONS

const DISABLED = '403 account_disabled'
const WRONG = '401 invalid_credentials'
const byPassword = (success: Record<Installation, [verified: string, unverified: string]>): Way['ends'] => {
  const ends = Object.entries(success).map(([installation, [verified, unverified]]) => [
    installation,
    { verified, unverified, disabled: DISABLED, 'without a password': WRONG },
  ])
  return Object.fromEntries(ends)
}
const PASSWORD_ENDS = byPassword({
  usual: ['200', '200'],
  'that requires verified addresses': ['200', '403 email_not_verified'],
  'that confirms devices': ['403 device_confirmation_required', '200'],
})
const everywhere = (ends: Record<State, string>): Way['ends'] => ({
  usual: ends,
  'that requires verified addresses': ends,
  'that confirms devices': ends,
})
/** Disabling an account voids what was mailed before. */
const VOID = '400 invalid_challenge'
const VOID_RESET = '400 invalid_reset_token'
const MAIL_ENDS = everywhere({ verified: '200', unverified: '200', disabled: VOID, 'without a password': '200' })

const post = ({ url }: System, path: string, body: object) => call(url.auth, `POST ${path}`, { body })
const password = (path: string, field = 'email') => ({
  async prepare(system: System, { email }: Person) {
    return () => post(system, path, { [field]: email, password: PASSWORD })
  },
  ends: PASSWORD_ENDS,
  amr: ['pwd'],
})
const emailCode = (by: 'code' | 'token'): Way => ({
  calls: ['POST /auth/email-code-login'],
  async prepare(system, { email }) {
    const { challenge_id, code, token } = await requested(system, 'email-code-request', { email })
    const body = by === 'code' ? { challenge_id, code } : { token }
    return () => post(system, '/api/v1/auth/email-code-login', body)
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
    async prepare(system, { email }) {
      const before = mailsTo(system, email).length
      await post(system, '/api/v1/auth/password-reset-request', { email })
      const { token } = await nextMail(system, email, before)
      return async () => {
        const new_password = 'a wholly new password'
        const reset = await post(system, '/api/v1/auth/password-reset-confirm', { token, new_password })
        return reset.status === 204 ? await logIn(system, email, new_password) : reset
      }
    },
    // A reset proves the address.
    ends: {
      ...everywhere({ ...none('200'), disabled: VOID_RESET }),
      'that confirms devices': { ...none('403 device_confirmation_required'), disabled: VOID_RESET },
    },
    amr: ['pwd'],
  },
  'the code of a new device': {
    calls: ['POST /auth/device-confirm'],
    async prepare(system, { email }) {
      const before = mailsTo(system, email).length
      const login = await logIn(system, email)
      // Elsewhere the login is complete, or asks for something else: there is no challenge of a device.
      if (login.body.code !== 'device_confirmation_required')
        return () => post(system, '/api/v1/auth/device-confirm', { challenge_id: 'none', code: '000000' })
      const { challenge_id } = login.body
      const { code } = await nextMail(system, email, before)
      return () => post(system, '/api/v1/auth/device-confirm', { challenge_id, code })
    },
    ends: {
      ...everywhere(none(VOID)),
      'that confirms devices': { ...none(VOID), verified: '200' },
    },
    amr: ['pwd', 'rba'],
  },
  'an invitation': {
    calls: ['POST /auth/invitation-accept'],
    async prepare(system, { email, id }) {
      const user = await call(system.url.users, `GET /api/v1/users/${id}`, { headers: as.operator })
      // A user with a password cannot be invited.
      const token = user.body.has_password ? 'none' : await invitation(system, email)
      const body = { token, new_password: 'a wholly new password' }
      return () => post(system, '/api/v1/auth/invitation-accept', body)
    },
    ends: everywhere({ ...none(VOID), 'without a password': '200' }),
    amr: ['email'],
  },
  'a registration': {
    calls: ['POST /auth/register'],
    async prepare(system) {
      return () => post(system, '/api/v1/auth/register', { email: newEmail(), password: PASSWORD })
    },
    // It makes the account: there is no other state.
    ends: {
      usual: none('201'),
      'that requires verified addresses': none('201 without tokens'),
      'that confirms devices': none('201'),
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

describe.each(Object.keys(INSTALLATIONS) as Installation[])('an installation %s', (installation) => {
  const here = running(inProcess, { ...INSTALLATIONS[installation], RATE_LIMIT: 'off' })

  const newPerson = async (state: State): Promise<Person> => {
    const email = newEmail()
    const body = { email, password: PASSWORD, ...STATES[state].fields }
    const { body: user } = await here.users('POST /users', { headers: as.operator, body })
    return { id: user.id, email }
  }

  describe.each(Object.entries(WAYS))('check 45: by %s', (_, way) => {
    test.each(Object.entries(way.ends[installation]) as [State, string][])(
      'an account that is %s: %s',
      async (state, end) => {
        const person = await newPerson(state)
        const enter = await way.prepare(here.system, person)
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
