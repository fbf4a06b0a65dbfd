import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, byOperator, call } from '../support/http.ts'
import { resetLinkIn } from '../support/mails.ts'
import { headerOf, ScriptedMailServer } from '../support/servers/mail-server.ts'
import { inProcess, type System } from '../support/system.ts'

setDefaultTimeout(120_000)

const SERVER_TEXT = '550 5.1.1 No such user, says canary.example.net'

describe('12: the list of mails', () => {
  const server = new ScriptedMailServer()
  let system: System
  beforeAll(async () => {
    const SMTP_URL = `smtp://127.0.0.1:${await server.start()}`
    system = await inProcess({ SMTP_URL, RATE_LIMIT: 'off', LOG_LEVEL: 'silent', EMAIL_VERIFICATION: 'off' })
  })
  afterAll(async () => {
    await system?.stop()
    server.stop()
  })
  beforeEach(() => {
    server.script = {}
  })

  const admin = (request: string, body?: unknown) => {
    const [method, path] = request.split(' ')
    return call(system.url.auth, `${method} /api/v1/admin/mails${path ?? ''}`, byOperator(body))
  }
  const list = async (query: string) => (await admin(`GET ?${query}`)).body.items
  const requestReset = (email: string) =>
    call(system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email } })
  const confirm = async (token: string) =>
    (
      await call(system.url.auth, 'POST /api/v1/auth/password-reset-confirm', {
        body: { token, new_password: `${PASSWORD} 2` },
      })
    ).status
  /** Waits until the only mail of a user has a status. */
  const ended = (userId: string, status: string) =>
    eventually(async () => {
      const [one] = await list(`user_id=${userId}`)
      return one?.status === status ? one : undefined
    })
  const copies = (email: string) => server.messages.filter(({ to }) => to === email)
  const audited = async (type: string) =>
    (await call(system.url.auth, `GET /api/v1/admin/audit?type=${type}`, { headers: as.operator })).body.items[0]

  test('has a mail that was sent, with its user, and never one to an address that nobody has', async () => {
    const { email, id } = await registerUser(system)
    const unknown = newEmail()
    await requestReset(unknown)
    await requestReset(email)
    const mail = await ended(id, 'sent')
    expect(mail).toEqual({
      id: expect.any(String),
      kind: 'password_reset',
      user_id: id,
      to: email,
      status: 'sent',
      tries: 1,
      last_error: null,
      created_at: expect.any(String),
      sent_at: expect.any(String),
    })
    await eventually(async () => (await list('status=queued')).length === 0)
    const { text } = await admin('GET ?size=200')
    expect(text).not.toContain(unknown)
    expect(text).not.toContain(resetLinkIn(copies(email)[0]?.message ?? '').searchParams.get('token'))
    expect((await admin(`POST /${mail.id}/retry`)).body).toMatchObject({ statusCode: 404, code: 'not_found' })
    await call(system.url.users, `DELETE /api/v1/users/${id}`, { headers: as.operator })
    await eventually(async () => (await list(`user_id=${id}`)).length === 0)
  })

  test('a mail that was refused is sent again with the same Message-ID and link, which works', async () => {
    const { email, id } = await registerUser(system)
    server.script = { message: SERVER_TEXT }
    await requestReset(email)
    const failed = await ended(id, 'failed')
    expect(failed).toMatchObject({ tries: 1, last_error: 'mailbox_refused', sent_at: null })
    expect(JSON.stringify(failed)).not.toContain('canary')
    server.script = {}
    const retried = await admin(`POST /${failed.id}/retry`)
    expect([retried.status, retried.body.id, retried.body.status]).toEqual([202, failed.id, expect.any(String)])
    const sent = await ended(id, 'sent')
    expect([sent.id, sent.created_at]).toEqual([failed.id, failed.created_at])
    const [first, second] = copies(email)
    if (!first || !second) throw new Error('There are no two copies')
    expect(headerOf(second, 'Message-ID')).toBe(headerOf(first, 'Message-ID') as string)
    const token = resetLinkIn(second.message).searchParams.get('token') ?? ''
    expect(resetLinkIn(first.message).searchParams.get('token')).toBe(token)
    expect(await confirm(token)).toBe(204)
    expect(await audited('mail.retried')).toMatchObject({
      user_id: id,
      actor: 'operator',
      detail: { mail_id: failed.id, kind: 'password_reset' },
    })
  })

  test('a failed mail whose link is void is not sent again', async () => {
    const { email, id } = await registerUser(system)
    server.script = { message: SERVER_TEXT }
    await requestReset(email)
    const { id: mailId } = await ended(id, 'failed')
    const change = byOperator({ new_password: `${PASSWORD} 3` })
    expect((await call(system.url.users, `POST /api/v1/users/${id}/set-password`, change)).status).toBe(204)
    const { body } = await admin(`POST /${mailId}/retry`)
    expect(body).toMatchObject({ statusCode: 400, code: 'invalid_challenge' })
  })

  test('a mail that waits is attempted at once', async () => {
    const { email, id } = await registerUser(system)
    server.script = { RCPT: '450 4.2.0 Greylisted' }
    await requestReset(email)
    const mail = await eventually(async () =>
      (await list(`user_id=${id}&status=queued`)).find(({ tries }: { tries: number }) => tries === 1),
    )
    expect(mail).toMatchObject({ last_error: 'deferred' })
    server.script = {}
    expect((await admin(`POST /${mail.id}/retry`)).status).toBe(202)
    // The next attempt would be 30 s later.
    expect(await ended(id, 'sent')).toMatchObject({ id: mail.id, tries: 2 })
  })

  test('a test is sent through the queue, in the language asked for, and its subject says that it is one', async () => {
    const to = newEmail()
    for (const [body, kind, subject] of [
      [{ to }, 'notice', 'Test: '],
      [{ to, kind: 'email_code', locale: 'ru' }, 'email_code', 'Проверка: '],
    ] as const) {
      const { body: queued, status } = await admin('POST /test', body)
      expect([status, queued.kind, queued.to, queued.user_id]).toEqual([202, kind, to, null])
      await eventually(async () =>
        (await list(`kind=${kind}&status=sent`)).some(({ id }: { id: string }) => id === queued.id),
      )
      const copy = copies(to).at(-1)
      expect(subjectOf(copy?.message ?? '')).toStartWith(subject)
      expect(await audited('mail.test_sent')).toMatchObject({ detail: { mail_id: queued.id, kind } })
    }
  })

  test('a notice that users repeats after its mail was sent is not mailed again', async () => {
    const { email, id } = await registerUser(system)
    const notice = {
      id: Bun.randomUUIDv7(),
      user_id: id,
      old_email: email,
      at: new Date().toISOString(),
      request_id: null,
    }
    const send = () =>
      call(system.url.auth, 'POST /api/v1/auth/sync/email-changed', { headers: as.internal, body: notice })
    expect((await send()).status).toBe(204)
    await ended(id, 'sent')
    expect((await send()).status).toBe(204)
    // A mail that is requested later is sent later.
    const after = newEmail()
    await admin('POST /test', { to: after })
    await eventually(() => copies(after).length === 1)
    expect(copies(email)).toHaveLength(1)
  })

  test('a walk by cursor sees each mail once, newest first', async () => {
    const tos = Array.from({ length: 7 }, newEmail)
    for (const to of tos) await admin('POST /test', { to, kind: 'device' })
    const seen: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await admin(`GET ?size=3&kind=device${cursor && `&cursor=${cursor}`}`)
      seen.push(...body.items.map(({ to }: { to: string }) => to))
      cursor = body.next_cursor
    }
    expect(seen).toEqual(tos.toReversed())
  })

  test('is for operators; what is unknown is not found, what is malformed is refused', async () => {
    const { tokens } = await registerUser(system)
    const { id } = (await admin('POST /test', { to: newEmail() })).body
    for (const request of ['GET ', `POST /${id}/retry`, 'POST /test']) {
      const path = request.replace(' ', ' /api/v1/admin/mails')
      expect((await call(system.url.auth, path)).status).toBe(401)
      expect((await call(system.url.auth, path, { headers: as.bearer(tokens.access_token) })).status).toBe(403)
    }
    for (const unknown of ['00000000-0000-7000-8000-000000000000', 'x'])
      expect((await admin(`POST /${unknown}/retry`)).body.code).toBe('not_found')
    for (const query of ['status=lost', 'kind=spam', 'user_id=7', 'cursor=x'])
      expect([query, (await admin(`GET ?${query}`)).body.code]).toEqual([query, 'validation_failed'])
    for (const body of [{}, { to: 'x' }, { to: newEmail(), kind: 'spam' }, { to: newEmail(), locale: 'de' }])
      expect((await admin('POST /test', body)).body.code).toBe('validation_failed')
  })
})

/** The subject of a mail, decoded (RFC 2047). */
function subjectOf(message: string): string {
  const subject = headerOf({ message }, 'Subject') ?? ''
  return subject.replaceAll(/=\?utf-8\?(B|Q)\?([^?]*)\?=\s*/gi, (_, form: string, text: string) =>
    form.toUpperCase() === 'B'
      ? Buffer.from(text, 'base64').toString()
      : Buffer.from(
          text
            .replaceAll('_', ' ')
            .replaceAll(/=([0-9A-F]{2})/g, (__, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
          'latin1',
        ).toString(),
  )
}
