import { beforeAll, describe, expect, test } from 'bun:test'
import { encodeCBOR } from '@levischuck/tiny-cbor'
import { MINUTE } from '../../services/kit/clock.ts'
import { createUser, logIn, PASSWORD, type TestUser } from '../support/actors.ts'
import { Authenticator, type Deviation } from '../support/browser/authenticator.ts'
import { enrolPasskey, ORIGIN } from '../support/factors.ts'
import { type Answer, as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

// Check 46: every passkey that does not fit is refused with the same bytes, and opens nothing.

const APK = 'android:apk-key-hash:zRJ4vSSVqLJ8Wm3MVkCJZqJJM5kNh9Fp8bPKRmiPpJ0'
const VERIFIED = { email_verified: true }
type Credential = ReturnType<Authenticator['get']>
type NewCredential = ReturnType<Authenticator['create']>

const clock = movingClock()
const settings = { RATE_LIMIT: 'off', PASSKEY_ORIGINS: `https://other.example.org,${APK}` }
const here = running(() => inProcess(settings, { clock }))
const post = (path: string, body: object, headers = {}) => here.auth(`POST /auth/${path}`, { body, headers })
const optionsOf = async (body: object = {}, headers = {}) =>
  (await post('passkeys/login-options', body, headers)).body as { challenge: string; rpId: string }

/** The whole answer, without what names the request. */
function bytesOf({ body, headers, status }: Answer): string {
  for (const name of ['date', 'x-request-id']) headers.delete(name)
  return JSON.stringify([status, { ...body, requestId: '' }, [...headers]])
}

const base64url = (data: string | Uint8Array) => Buffer.from(data).toString('base64url')
const withResponse = <C extends { response: object }>(credential: C, response: Partial<C['response']>): C => ({
  ...credential,
  response: { ...credential.response, ...response },
})
/** The same base64url with stray bits in its last character, which decodes to the same bytes. */
function withStrayBits(text: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return text.slice(0, -1) + letters[letters.indexOf(text.at(-1) ?? 'A') ^ 1]
}

interface Person {
  user: TestUser
  passkey: Authenticator
}
async function newPerson(...form: ConstructorParameters<typeof Authenticator>): Promise<Person> {
  const user = await createUser(here.system, VERIFIED)
  const passkey = new Authenticator(...form)
  await enrolPasskey(here.system, user.tokens.access_token, passkey)
  return { user, passkey }
}

const sessionsOf = async ({ user }: Person): Promise<string[]> => {
  const { body } = await here.auth(`GET /auth/sessions?user_id=${user.id}`, { headers: as.operator })
  return body.items.map(({ id }: { id: string }) => id).sort()
}

/** A login that does not fit: what the browser sends, by the options of a sign-in. */
const LOGINS: Record<string, (person: Person, other: Person) => Promise<Credential>> = {}
const deviating =
  (deviation: Deviation) =>
  async ({ passkey }: Person) =>
    passkey.get(await optionsOf(), deviation)
const changed =
  (change: (credential: Credential) => Credential) =>
  async ({ passkey }: Person) =>
    change(passkey.get(await optionsOf()))

for (const [what, deviation] of Object.entries<Deviation>({
  'another origin': { origin: 'https://evil.example' },
  'the origin over http': { origin: ORIGIN.replace('https', 'http') },
  'the origin with a slash': { origin: `${ORIGIN}/` },
  'the origin with its port': { origin: `${ORIGIN}:443` },
  'the origin in capitals': { origin: ORIGIN.toUpperCase() },
  'a subdomain of the origin': { origin: ORIGIN.replace('://', '://www.') },
  'a parent of the origin': { origin: 'https://example.org' },
  'an opaque origin': { origin: 'null' },
  'an app that is not listed': { origin: 'android:apk-key-hash:AAAAvSSVqLJ8Wm3MVkCJZqJJM5kNh9Fp8bPKRmiPpJ0' },
  'an app with a changed letter': { origin: APK.replace('zRJ4', 'zRj4') },
  'another relying party': { rpId: 'evil.example' },
  'a parent of the relying party': { rpId: 'example.org' },
  'a frame of another origin': { crossOrigin: true },
  'a user who was not verified': { userVerified: false },
  'a user who was not present': { userPresent: false },
  'the type of an enrolment': { type: 'webauthn.create' },
  'the type of a payment': { type: 'payment.get' },
  'a wrong key': { otherKey: true },
  'another user handle': { userHandle: Bun.randomUUIDv7() },
  'no user handle': { userHandle: null },
  'an empty user handle': { userHandle: '' },
  'a backup of a passkey that has none': { backupEligible: true, backedUp: true },
  'a passkey that became eligible for backup': { backupEligible: true },
  'a backup that is not possible': { backedUp: true },
  'no challenge': { challenge: '' },
  'a challenge of 32 other bytes': { challenge: base64url(new Uint8Array(32)) },
}))
  LOGINS[what] = deviating(deviation)

Object.assign(LOGINS, {
  'a challenge with a changed bit': async ({ passkey }: Person) => {
    const { challenge, rpId } = await optionsOf()
    const bytes = Buffer.from(challenge, 'base64url')
    bytes[4] = (bytes[4] ?? 0) ^ 1
    return passkey.get({ challenge: base64url(bytes), rpId })
  },
  'a challenge with a later time': async ({ passkey }: Person) => {
    const { challenge, rpId } = await optionsOf()
    const bytes = Buffer.from(challenge, 'base64url')
    bytes.writeUInt32BE(bytes.readUInt32BE() + 60)
    return passkey.get({ challenge: base64url(bytes), rpId })
  },
  'a challenge that is cut short': async ({ passkey }: Person) => {
    const { challenge, rpId } = await optionsOf()
    return passkey.get({ challenge: challenge.slice(0, -4), rpId })
  },
  'a challenge with stray bits': async ({ passkey }: Person) => {
    const { challenge, rpId } = await optionsOf()
    return passkey.get({ challenge: withStrayBits(challenge), rpId })
  },
  'an expired challenge': async ({ passkey }: Person) => {
    const options = await optionsOf()
    clock.pass(5 * MINUTE + 1000)
    return passkey.get(options)
  },
  'a challenge from the future': async ({ passkey }: Person) => {
    clock.pass(6 * MINUTE)
    const options = await optionsOf()
    clock.pass(-6 * MINUTE)
    return passkey.get(options)
  },
  'a replayed answer': async ({ passkey }: Person) => {
    const credential = passkey.get(await optionsOf())
    expect((await post('passkeys/login', { credential })).status).toBe(200)
    return credential
  },
  'a used challenge, signed again': async ({ passkey }: Person) => {
    const options = await optionsOf()
    expect((await post('passkeys/login', { credential: passkey.get(options) })).status).toBe(200)
    return passkey.get(options)
  },
  'the challenge of a second factor': async ({ passkey, user }: Person) => {
    const { challenge_id } = (await logIn(here.system, user.email)).body
    return passkey.get(await optionsOf({ challenge_id }))
  },
  'the challenge of a repeated authentication': async ({ passkey, user }: Person) =>
    passkey.get(await optionsOf({}, as.bearer(user.tokens.access_token))),
  'the challenge of an enrolment': async ({ passkey, user }: Person) => {
    const { body } = await post('passkeys/options', {}, as.bearer(user.tokens.access_token))
    return passkey.get({ challenge: body.challenge, rpId: body.rp.id })
  },
  'a copy whose counter stands still': async ({ passkey }: Person) => {
    expect(
      (await post('passkeys/login', { credential: passkey.get(await optionsOf(), { counter: 900 }) })).status,
    ).toBe(200)
    return passkey.get(await optionsOf(), { counter: 900 })
  },
  'a copy whose counter is behind': async ({ passkey }: Person) => {
    expect(
      (await post('passkeys/login', { credential: passkey.get(await optionsOf(), { counter: 5000 }) })).status,
    ).toBe(200)
    return passkey.get(await optionsOf(), { counter: 0 })
  },
  'the id of another passkey': async ({ passkey }: Person, other: Person) => ({
    ...passkey.get(await optionsOf()),
    id: base64url(other.passkey.id),
    rawId: base64url(other.passkey.id),
  }),
  "the handle of another passkey's user": async ({ passkey }: Person, other: Person) =>
    passkey.get(await optionsOf(), { userHandle: other.user.id }),
  'a passkey that nobody has enrolled': async () => {
    const unknown = new Authenticator(ORIGIN)
    return unknown.get(await optionsOf(), { userHandle: Bun.randomUUIDv7() })
  },
  'a passkey that its user has removed': async () => {
    const person = await newPerson(ORIGIN)
    const headers = as.bearer(person.user.tokens.access_token)
    const { body } = await here.auth('GET /auth/factors', { headers })
    const removed = await here.auth(`DELETE /auth/factors/${body.items[0].id}`, { headers })
    expect(removed.status).toBe(204)
    return person.passkey.get(await optionsOf())
  },
  'a passkey of a deleted user': async () => {
    const person = await newPerson(ORIGIN)
    expect((await here.users(`DELETE /users/${person.user.id}`, { headers: as.operator })).status).toBe(204)
    return person.passkey.get(await optionsOf())
  },
  'another type': changed((credential) => ({ ...credential, type: 'password' })),
  'no base64url as its id': changed((credential) => ({ ...credential, rawId: `${credential.rawId}=` })),
  'a raw id with stray bits': changed((credential) => ({ ...credential, rawId: withStrayBits(credential.rawId) })),
  'a signature with stray bits': changed((credential) =>
    withResponse(credential, { signature: `${credential.response.signature}A` }),
  ),
  'a signature that is no DER': changed((credential) => withResponse(credential, { signature: base64url('none') })),
  'client data that is no JSON': changed((credential) => withResponse(credential, { clientDataJSON: base64url('{') })),
  'client data that is null': changed((credential) => withResponse(credential, { clientDataJSON: base64url('null') })),
  'client data that is a list': changed((credential) => withResponse(credential, { clientDataJSON: base64url('[]') })),
  'client data with a deep list': changed((credential) =>
    withResponse(credential, { clientDataJSON: base64url('['.repeat(4000)) }),
  ),
  'client data that is too long': changed((credential) =>
    withResponse(credential, { clientDataJSON: base64url(`{"type":"${'x'.repeat(5000)}"}`) }),
  ),
  'client data in standard Base64': changed((credential) =>
    withResponse(credential, { clientDataJSON: `${credential.response.clientDataJSON}==` }),
  ),
  'authenticator data that is cut short': changed((credential) =>
    withResponse(credential, { authenticatorData: credential.response.authenticatorData.slice(0, 40) }),
  ),
  'authenticator data with a changed counter': changed((credential) => {
    const data = Buffer.from(credential.response.authenticatorData, 'base64url')
    data.writeUInt32BE(1_000_000, 33)
    return withResponse(credential, { authenticatorData: base64url(data) })
  }),
  'authenticator data with more bytes': changed((credential) =>
    withResponse(credential, {
      authenticatorData: base64url(
        Buffer.concat([Buffer.from(credential.response.authenticatorData, 'base64url'), Buffer.alloc(9)]),
      ),
    }),
  ),
} satisfies typeof LOGINS)

describe('check 46: a sign-in by a passkey', () => {
  let person: Person
  let other: Person
  let refusal: string
  beforeAll(async () => {
    person = await newPerson(ORIGIN)
    other = await newPerson(ORIGIN)
    refusal = bytesOf(await post('passkeys/login', { credential: await LOGINS['another origin']?.(person, other) }))
    expect(refusal).toContain('invalid_credentials')
  })

  test.each(Object.keys(LOGINS))('is refused with %s', async (what) => {
    const credential = await LOGINS[what]?.(person, other)
    const before = [await sessionsOf(person), await sessionsOf(other)]
    expect(bytesOf(await post('passkeys/login', { credential }))).toBe(refusal)
    expect([await sessionsOf(person), await sessionsOf(other)]).toEqual(before)
  })

  test('is opened once by 50 parallel requests with one answer', async () => {
    const fresh = await newPerson(ORIGIN)
    for (let round = 0; round < 10; round++) {
      const credential = fresh.passkey.get(await optionsOf())
      const answers = await Promise.all(Array.from({ length: 50 }, () => post('passkeys/login', { credential })))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
      for (const answer of answers.filter(({ status }) => status !== 200)) expect(bytesOf(answer)).toBe(refusal)
    }
    expect(await sessionsOf(fresh)).toHaveLength(11)
  })

  test.each([ORIGIN, 'https://other.example.org', APK])('comes from %s, which is listed', async (origin) => {
    const { passkey } = await newPerson(origin)
    expect((await post('passkeys/login', { credential: passkey.get(await optionsOf()) })).status).toBe(200)
  })

  test('says how the passkey is kept', async () => {
    const synced = await newPerson(ORIGIN, 'ES256', true, false)
    for (const backedUp of [true, false]) {
      const credential = synced.passkey.get(await optionsOf(), { backedUp })
      expect((await post('passkeys/login', { credential })).status).toBe(200)
      const headers = as.bearer(synced.user.tokens.access_token)
      const { body } = await here.auth('GET /auth/factors', { headers })
      expect(body.items[0].backed_up).toBe(backedUp)
    }
    const lost = synced.passkey.get(await optionsOf(), { backupEligible: false, backedUp: false })
    expect(bytesOf(await post('passkeys/login', { credential: lost }))).toBe(refusal)
  })
})

describe('check 46: as a second factor and to authenticate again, a passkey', () => {
  const challengeOf = async ({ user }: Person): Promise<string> =>
    (await logIn(here.system, user.email)).body.challenge_id

  test('is refused for the challenge of another purpose, login or user, with the same bytes', async () => {
    const [person, other] = [await newPerson(ORIGIN), await newPerson(ORIGIN)]
    const headers = as.bearer(person.user.tokens.access_token)
    const [first, second, foreign] = [await challengeOf(person), await challengeOf(person), await challengeOf(other)]
    const sent = {
      'of a sign-in': person.passkey.get(await optionsOf()),
      'of another login': person.passkey.get(await optionsOf({ challenge_id: second })),
      'of the login of another user': person.passkey.get(await optionsOf({ challenge_id: foreign })),
      'of a repeated authentication': person.passkey.get(await optionsOf({}, headers)),
      'by the passkey of another user': other.passkey.get(await optionsOf({ challenge_id: first })),
    }
    const answers = new Set<string>()
    for (const credential of Object.values(sent)) {
      // Each login has five tries.
      const challenge_id = first
      answers.add(bytesOf(await post('second-factor', { challenge_id, credential })))
    }
    for (const challenge_id of ['none', first, foreign])
      answers.add(bytesOf(await post('second-factor', { challenge_id, credential: sent['of a sign-in'] })))
    expect([...answers]).toHaveLength(1)
    expect([...answers][0]).toContain('invalid_credentials')

    const { body: enrolment } = await post('passkeys/options', {}, headers)
    for (const credential of [
      person.passkey.get(await optionsOf()),
      person.passkey.get({ challenge: enrolment.challenge, rpId: enrolment.rp.id }),
      person.passkey.get(await optionsOf({ challenge_id: second })),
      person.passkey.get(await optionsOf({}, as.bearer(other.user.tokens.access_token))),
      other.passkey.get(await optionsOf({}, headers)),
    ]) {
      const answer = await post('reauthenticate', { credential }, headers)
      expect([answer.status, answer.body.code]).toEqual([401, 'invalid_credentials'])
    }
    const right = person.passkey.get(await optionsOf({ challenge_id: second }))
    expect((await post('second-factor', { challenge_id: second, credential: right })).status).toBe(200)
  })

  test('need not name its user, whom the login names', async () => {
    const { passkey, user } = await newPerson(ORIGIN)
    const { challenge_id } = (await logIn(here.system, user.email)).body
    const credential = passkey.get(await optionsOf({ challenge_id }), { userHandle: null })
    expect((await post('second-factor', { challenge_id, credential })).status).toBe(200)
  })
})

describe('check 46: a new passkey', () => {
  /** CBOR whose lists are nested this deep. */
  const nested = (depth: number) => base64url(Buffer.concat([Buffer.alloc(depth, 0x81), Buffer.from([0])]))
  const map = (entries: [string, Uint8Array | string][]) => base64url(encodeCBOR(new Map(entries)))
  const response = (part: Partial<NewCredential['response']>) => (credential: NewCredential) =>
    withResponse(credential, part)

  const FAULTS: [what: string, deviation: Deviation, change?: (credential: NewCredential) => NewCredential][] = [
    ['another origin', { origin: 'https://evil.example' }],
    ['an app with a changed letter', { origin: APK.replace('zRJ4', 'zRj4') }],
    ['another relying party', { rpId: 'evil.example' }],
    ['a frame of another origin', { crossOrigin: true }],
    ['a user who was not verified', { userVerified: false }],
    ['a user who was not present', { userPresent: false }],
    ['the type of a login', { type: 'webauthn.get' }],
    ['a backup that is not possible', { backedUp: true }],
    ['a challenge of 32 other bytes', { challenge: base64url(new Uint8Array(32)) }],
    ['another id', {}, (credential) => ({ ...credential, id: base64url('another'), rawId: base64url('another') })],
    ['two ids', {}, (credential) => ({ ...credential, id: base64url('another') })],
    ['another type', {}, (credential) => ({ ...credential, type: 'password' })],
    ['nothing but bytes', {}, response({ attestationObject: base64url('none') })],
    ['nested CBOR', {}, response({ attestationObject: nested(24_000) })],
    ['a map without data', {}, response({ attestationObject: map([['fmt', 'none']]) })],
    ['data that is a text', {}, response({ attestationObject: map([['authData', 'none']]) })],
    ['data that is empty', {}, response({ attestationObject: map([['authData', new Uint8Array()]]) })],
    [
      'a huge length',
      {},
      response({ attestationObject: base64url(Buffer.from('a1685f6e68bffffffffffffffff0', 'hex')) }),
    ],
    ['base64url with padding', {}, response({ attestationObject: 'oA==' })],
  ]

  test.each(FAULTS)('is refused with %s', async (_, deviation, change = (credential) => credential) => {
    const { tokens } = await createUser(here.system, VERIFIED)
    const headers = as.bearer(tokens.access_token)
    const { body: options } = await post('passkeys/options', {}, headers)
    const credential = change(new Authenticator(ORIGIN).create(options, deviation))
    const answer = await post('passkeys', { credential }, headers)
    expect([answer.status, answer.body.code]).toEqual([401, 'invalid_credentials'])
    expect((await here.auth('GET /auth/factors', { headers })).body.items).toEqual([])
  })

  test('answers a challenge of its user, once, and is nobody else’s yet', async () => {
    const [ana, ben] = [await createUser(here.system, VERIFIED), await createUser(here.system, VERIFIED)]
    const [anas, bens] = [as.bearer(ana.tokens.access_token), as.bearer(ben.tokens.access_token)]
    const optionsFor = async (headers: object) => (await post('passkeys/options', {}, headers)).body
    const options = await optionsFor(anas)
    const passkey = new Authenticator(ORIGIN)
    const credential = passkey.create(options)
    expect((await post('passkeys', { credential }, bens)).body.code).toBe('invalid_credentials')
    expect((await post('passkeys', { credential }, anas)).status).toBe(201)
    const again = new Authenticator(ORIGIN).create(options)
    expect((await post('passkeys', { credential: again }, anas)).body.code).toBe('invalid_credentials')
    const stolen = await post('passkeys', { credential: passkey.create(await optionsFor(bens)) }, bens)
    expect([stolen.status, stolen.body.errors]).toEqual([400, [expect.objectContaining({ code: 'taken' })]])
    const expired = await optionsFor(anas)
    clock.pass(5 * MINUTE + 1000)
    const late = new Authenticator(ORIGIN).create(expired)
    expect((await post('passkeys', { credential: late }, anas)).body.code).toBe('invalid_credentials')
  })

  test('needs a verified address', async () => {
    const { tokens } = await createUser(here.system)
    const answer = await post('passkeys/options', {}, as.bearer(tokens.access_token))
    expect([answer.status, answer.body.code]).toEqual([403, 'email_not_verified'])
  })
})

test('nested CBOR of 60 KB is refused by its size, before it is read', async () => {
  const { tokens } = await createUser(here.system, VERIFIED)
  const headers = as.bearer(tokens.access_token)
  const { body: options } = await post('passkeys/options', {}, headers)
  const deep = base64url(Buffer.alloc(45_000, 0x81))
  const credential = withResponse(new Authenticator(ORIGIN).create(options), { attestationObject: deep })
  const answer = await post('passkeys', { credential }, headers)
  expect([answer.status, answer.body.code]).toEqual([400, 'validation_failed'])
  expect((await logIn(here.system, 'nobody', PASSWORD)).status).toBe(401)
})
