import { beforeAll, describe, expect, test } from 'bun:test'
import { areEven, timesApart } from '../../security/timing.ts'
import { newEmail, PASSWORD } from '../../support/actors.ts'
import { as } from '../../support/http.ts'
import { running } from '../../support/running.ts'
import { inProcess } from '../../support/system.ts'
import { COOKIES, newPerson, type Visit, Visitor } from './visitor.ts'

const KINDS = ['unknown', 'known', 'disabled'] as const
type Kind = (typeof KINDS)[number]
const PEOPLE = 60

/** The email of a person of a kind: all have the same length. */
const emailOf = (kind: Kind, person: number) => `${kind.padEnd(8, '-')}${String(person).padStart(4, '0')}@example.org`

/** An answer without what differs in every one: tokens, ids, and the address that was typed. */
function comparable({ headers, status, text }: Visit, email: string): string {
  const compared = [...headers].filter(([name]) => !['date', 'x-request-id'].includes(name))
  const masked = JSON.stringify([status, compared, text])
    .replaceAll(email, '<email>')
    .replaceAll(/name=\\"form_token\\" value=\\"[\w-]{43}\\"/g, '<form token>')
    .replaceAll(/challenge&quot;:&quot;[\w-]{43}&quot;/g, '<challenge of a passkey>')
  // The length of a sealed value differs by chance: it is compressed.
  return masked.replaceAll(/(__Host-ch202[\w-]*)=[\w.-]+/g, '$1=<sealed>')
}

/** The forms that take the name of an account from anyone. */
const FORMS: [string, (email: string) => [string, Record<string, string>]][] = [
  ['sign-in', (email) => ['/sign-in', { login: email, password: 'not the password' }]],
  ['code', (email) => ['/sign-in', { step: 'email', email }]],
  ['forgot', (email) => ['/forgot-password', { email }]],
  ['verify', (email) => ['/verify-email', { action: 'send', email }]],
]

describe('the existence of an account, at the pages', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })

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

  const send = async (form: Visitor, fields: [string, Record<string, string>]) => await form.copy().post(...fields)

  test.each(FORMS)('check 48: the form %s answers the same bytes for everyone', async (_, fieldsOf) => {
    const form = new Visitor(here.system)
    await form.get('/sign-in')
    const answers = new Map<string, string>()
    for (const kind of KINDS)
      for (let person = 0; person < 5; person++) {
        const email = emailOf(kind, person)
        const visitor = form.copy()
        const answer = await visitor.post(...fieldsOf(email))
        expect(answer.status).toBeLessThan(500)
        let seen = comparable(answer, email)
        // The page after the redirect is the same too.
        if (answer.location !== '') seen += comparable(await visitor.get(answer.location), email)
        answers.set(seen, `${kind} ${person}`)
      }
    expect([...answers.values()]).toHaveLength(1)
  })

  test('check 48: a wrong code for an unknown address is a wrong code', async () => {
    const answers = new Set<string>()
    for (const kind of ['unknown', 'known'] as const)
      for (let person = 10; person < 13; person++) {
        const email = emailOf(kind, person)
        const visitor = new Visitor(here.system)
        visitor.cookies.set(COOKIES.form, 'the-same-in-every-browser-01')
        await visitor.fill('/sign-in', { step: 'email', email })
        await visitor.get('/sign-in?step=code')
        for (let guess = 0; guess < 6; guess++)
          answers.add(
            `${guess} ${comparable(await visitor.post('/sign-in', { step: 'code', code: `00000${guess}` }), email)}`,
          )
      }
    expect(answers.size).toBe(6)
  })

  test('check 48: the sign-up tells that an address is taken as the API does, and no page tells more', async () => {
    const { email } = await newPerson(here.system)
    const visitor = new Visitor(here.system)
    const { status, text } = await visitor.fill('/sign-up', { email, password: PASSWORD })
    expect(status).toBe(409)
    expect(text).toContain('id="email-error"')
    const direct = await here.auth('POST /auth/register', { body: { email, password: PASSWORD } })
    expect([direct.status, direct.body.code]).toEqual([409, 'email_taken'])
    expect(visitor.cookies.has(COOKIES.session)).toBe(false)
  })

  test.each(FORMS)(
    'check 48: the form %s takes the same time for everyone',
    async (_, fieldsOf) => {
      const form = new Visitor(here.system)
      await form.get('/sign-in')
      const kinds = ['unknown', 'known'] as const
      const apart = await timesApart({
        kinds,
        blocks: 40,
        ofEach: 8,
        ask: async (kind, n) => await send(form, fieldsOf(kind === 'known' ? emailOf(kind, n % PEOPLE) : newEmail())),
      })
      expect(areEven(apart) || apart).toBe(true)
    },
    300_000,
  )
})
