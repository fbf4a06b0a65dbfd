import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { SMTPServer } from 'smtp-server'
import { createUser, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as } from '../support/http.ts'
import { mailsTo } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { freePort } from '../support/servers/ports.ts'
import { inProcess } from '../support/system.ts'
import { areEven, timesApart } from './timing.ts'

const KINDS = ['known', 'unknown', 'disabled'] as const
type Kind = (typeof KINDS)[number]
/** Requests that an address may send in an hour. */
const MAILS = 5
const PEOPLE = 210

const emailOf = (kind: Kind, person: number) => `${kind}.${person}@example.org`

describe('the existence of an account, by requesting a mail', () => {
  // One process: the mail is sent beside the answer, on the same event loop.
  const here = running(inProcess, { TRUSTED_PROXIES: '127.0.0.1' })

  beforeAll(async () => {
    const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
    const people = (['known', 'disabled'] as const).flatMap((kind) =>
      Array.from({ length: PEOPLE }, (_, person) => ({
        email: emailOf(kind, person),
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

  test('check 21: is not revealed: known, unknown and disabled give the same bytes in the same time', async () => {
    const answers = new Set<string>()
    const apart = await timesApart({
      kinds: KINDS,
      blocks: 42,
      ofEach: 8,
      ask: async (kind, n) => {
        const { headers, status, text } = await here.auth('POST /auth/password-reset-request', {
          body: { email: emailOf(kind, Math.floor(n / MAILS)) },
          headers: { 'x-forwarded-for': `10.${KINDS.indexOf(kind)}.${n >> 8}.${n & 255}`, 'x-request-id': 'the-same' },
        })
        headers.delete('date')
        answers.add(JSON.stringify([status, text, ...headers]))
      },
    })
    expect([...answers]).toHaveLength(1)
    expect([...answers][0]).toStartWith('[202,')
    expect(areEven(apart) || apart).toBe(true)
    // The timed requests did their work: known addresses got their mails, and no other address did.
    await eventually(() => mailsTo(here.system, emailOf('known', 10)).length === MAILS)
    for (const kind of ['unknown', 'disabled'] as const) expect(mailsTo(here.system, emailOf(kind, 10))).toHaveLength(0)
  }, 600_000)
})

describe('a slow mail server', () => {
  const port = freePort()
  const here = running(inProcess, { SMTP_URL: `smtp://127.0.0.1:${port}` })
  const released = Promise.withResolvers<void>()
  const events: string[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    async onMailFrom(_, __, done) {
      events.push('mail begun')
      await released.promise
      done()
    },
    onData(stream, _, done) {
      stream.resume()
      stream.on('end', () => {
        events.push('mail sent')
        done()
      })
    },
  })
  beforeAll(() => void server.listen(port, '127.0.0.1'))
  afterAll(() => new Promise<void>((resolve) => server.close(resolve)))

  test('check 21: does not delay the answer', async () => {
    const { email } = await createUser(here.system)
    for (const address of [email, newEmail()]) {
      const { status } = await here.auth('POST /auth/password-reset-request', { body: { email: address } })
      expect(status).toBe(202)
      events.push('answered')
      // During the second request the server is busy with the first mail.
      await eventually(() => events.includes('mail begun'))
    }
    expect(events.toSorted()).toEqual(['answered', 'answered', 'mail begun'])
    released.resolve()
    await eventually(() => events.includes('mail sent'))
  })
})
