import { describe, expect, test } from 'bun:test'
import { Problem } from '../kit/problem.ts'
import type { AccountMail, EmailChange } from '../users/peers.ts'
import { authClient } from './auth.ts'

// Calls to an auth of the version before, which runs beside this one while an installation is updated.

const ID = '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'
const OLD_FIELDS = ['id', 'user_id', 'old_email', 'at', 'request_id']

/** Answers as auth of the version before: it knows no mails to users, and refuses fields that it does not know. */
function oldAuth() {
  const accepted: Record<string, unknown>[] = []
  const fetch = async (request: Request) => {
    const path = new URL(request.url).pathname
    const body = (await request.json()) as Record<string, unknown>
    const refusal = (problem: Problem) => Response.json(problem.body('a-request'), { status: problem.status })
    if (path !== '/api/v1/auth/sync/email-changed') return refusal(new Problem('not_found'))
    const unknown = Object.keys(body).filter((field) => !OLD_FIELDS.includes(field))
    if (unknown.length > 0) return refusal(new Problem('validation_failed', { message: unknown }))
    accepted.push(body)
    return new Response(null, { status: 204 })
  }
  return { accepted, client: authClient({ url: 'http://localhost', key: 'the-internal-key', fetch }) }
}

const change: EmailChange = {
  id: ID,
  userId: ID,
  oldEmail: 'old@example.org',
  newEmail: 'new@example.org',
  verified: true,
  byProof: false,
  at: 1_800_000_000_000,
  ip: '203.0.113.7',
  locale: 'ru',
  requestId: 'a-request',
}
const mail: AccountMail = {
  id: ID,
  kind: 'notice',
  cause: 'password_changed',
  userId: ID,
  email: 'ana@example.org',
  locale: null,
  ip: null,
  userAgent: null,
  at: 1_800_000_000_000,
  requestId: null,
}

describe('auth of the version before', () => {
  test('gets a change of an email with the fields that it knows', async () => {
    const { accepted, client } = oldAuth()
    await client.emailChanged(change)
    const at = '2027-01-15T08:00:00.000Z'
    expect(accepted).toEqual([{ id: ID, user_id: ID, old_email: 'old@example.org', at, request_id: 'a-request' }])
  })

  test('refuses a mail to a user, which holds up no other notice as an outage would', async () => {
    const { client } = oldAuth()
    await expect(client.accountMail(mail)).rejects.toMatchObject({ code: 'not_found', status: 404 })
  })
})
