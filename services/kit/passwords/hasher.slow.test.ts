import { describe, expect, test } from 'bun:test'
import { pbkdf2Sync } from 'node:crypto'
import type { Log, LogFields } from '../log.ts'
import type { Problem } from '../problem.ts'
import { isSupportedHash, PasswordHasher } from './hasher.ts'

const PASSWORD = 'correct horse battery'
const CHEAP = { passwordHash: 'bcrypt', bcryptCost: 4, hashQueue: 128 } as const
const ARGON2 = { ...CHEAP, passwordHash: 'argon2id' } as const
const hasher = new PasswordHasher(CHEAP)

const bcrypt = (password: string | Buffer, cost = 4) => Bun.password.hash(password, { algorithm: 'bcrypt', cost })
const argon2 = (algorithm: 'argon2id' | 'argon2i' | 'argon2d', memoryCost = 1024, timeCost = 1) =>
  Bun.password.hash(PASSWORD, { algorithm, memoryCost, timeCost })
/** Whether a password matches a hash. */
const matches = async (ours: PasswordHasher, password: string, hash: string) =>
  (await ours.verify(password, hash)) !== null
const spelled = async (prefix: string) => (await bcrypt(PASSWORD)).replace('$2b$', prefix)

describe('a hash', () => {
  test.each([
    ['bcrypt', CHEAP, /^\$2b\$04\$/],
    ['argon2id', ARGON2, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/],
  ] as const)('of %s is created, matches and needs no rehash', async (_, settings, form) => {
    const ours = new PasswordHasher(settings)
    const hash = await ours.hash(PASSWORD)
    expect(hash).toMatch(form)
    expect(await ours.hash(PASSWORD)).not.toBe(hash)
    expect(await ours.verify(PASSWORD, hash)).toEqual({ rehash: false })
    expect(await ours.verify(`${PASSWORD} `, hash)).toBeNull()
  })

  test.each<[string, () => Promise<string>]>([
    ['bcrypt $2a$', () => spelled('$2a$')],
    ['bcrypt $2y$', () => spelled('$2y$')],
    ['bcrypt of another cost', () => bcrypt(PASSWORD, 5)],
    ['argon2id', () => argon2('argon2id')],
    ['argon2i', () => argon2('argon2i')],
    ['argon2d', () => argon2('argon2d')],
  ])('from another system is verified: %s', async (_, make) => {
    const hash = await make()
    expect(isSupportedHash(hash)).toBe(true)
    expect(await matches(hasher, PASSWORD, hash)).toBe(true)
    expect(await matches(hasher, PASSWORD.toUpperCase(), hash)).toBe(false)
  })

  // Created with argon2-cffi, the salt is the bytes 0 to 15; the first has the parameters of Keycloak.
  test.each([
    '$argon2id$v=19$m=7168,t=5,p=1$AAECAwQFBgcICQoLDA0ODw$tFWBGYVQWYldJs55Ny3C/FemDveHTqsi/Dpxz7sjU0Y',
    '$argon2i$v=19$m=1024,t=3,p=1$AAECAwQFBgcICQoLDA0ODw$vxNtUft+TPUYTFgW78tvytqpzuSAVMVMnhPRsPjM0Ks',
    '$argon2d$v=19$m=1024,t=3,p=1$AAECAwQFBgcICQoLDA0ODw$RaqIKFojXWFBd3xX5eCyHiXkp1Iof/R1WdAXNxlTOiE',
    '$argon2id$v=19$m=1024,t=2,p=4$AAECAwQFBgcICQoLDA0ODw$DRk1hUkEL5tcnqulY0Ox/A',
    '$argon2id$v=19$m=1024,t=2,p=2$AAECAwQFBgcICQoLDA0ODw$o97woYQVWP6b3nByTs+fzqwu/ILQBFUlReXopGgaevDMKRhBJhNYYqmE2mXjnRVDjRsRrNU1wlv+7kuGlDc8Pw',
  ])('of another implementation is verified: %s', async (hash) => {
    expect(isSupportedHash(hash)).toBe(true)
    expect(await hasher.verify(PASSWORD, hash)).toEqual({ rehash: true })
    expect(await hasher.verify(`${PASSWORD}!`, hash)).toBeNull()
  })

  const RIGHT = `$2b$10$${'a'.repeat(53)}`
  const ARGON = (m: number, t: number) => `$argon2id$v=19$m=${m},t=${t},p=1$${'a'.repeat(22)}$${'a'.repeat(43)}`
  test.each<[string, string, boolean]>([
    ['bcrypt', RIGHT, true],
    ['argon2id', ARGON(65_536, 3), true],
    ['none', '', false],
    ['the password itself', PASSWORD, false],
    ['bcrypt without its last character', RIGHT.slice(0, -1), false],
    ['bcrypt with a further character', `${RIGHT}a`, false],
    ['bcrypt with a line break', `${RIGHT}\n`, false],
    ['bcrypt that would take hours', RIGHT.replace('$10$', '$31$'), false],
    ['bcrypt that takes two seconds', RIGHT.replace('$10$', '$15$'), true],
    ['bcrypt that takes longer', RIGHT.replace('$10$', '$16$'), false],
    ['bcrypt of too small a cost', RIGHT.replace('$10$', '$03$'), false],
    ['the broken $2x$', RIGHT.replace('$2b$', '$2x$'), false],
    ['argon2 that would take all memory', ARGON(4_000_000, 1), false],
    ['argon2 that would take hours', ARGON(1024, 1000), false],
    ['argon2 of a gigabyte', ARGON(1_048_576, 1), false],
    ['argon2 that takes long with little memory', ARGON(65_536, 64), false],
    ['argon2 with less memory than its minimum', ARGON(7, 1), false],
    ['argon2 without a pass', ARGON(1024, 0), false],
    ['scrypt', `$scrypt$ln=16,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`, true],
    ['MD5', '5f4dcc3b5aa765d61d8327deb882cf99', false],
  ])('is supported or not: %s', (_, hash, isSupported) => {
    expect(isSupportedHash(hash)).toBe(isSupported)
  })
})

describe('rehash: whether the algorithm and the cost are those of the settings', () => {
  test.each<[string, () => Promise<string>, typeof CHEAP | typeof ARGON2, boolean]>([
    ['bcrypt as set', () => bcrypt(PASSWORD), CHEAP, false],
    ['$2y$ of the same cost', () => spelled('$2y$'), CHEAP, false],
    ['bcrypt of a higher cost', () => bcrypt(PASSWORD, 5), CHEAP, true],
    ['argon2id when the setting is bcrypt', () => argon2('argon2id', 19_456, 2), CHEAP, true],
    ['bcrypt when the setting is argon2id', () => bcrypt(PASSWORD), ARGON2, true],
    ['argon2id as set', () => argon2('argon2id', 19_456, 2), ARGON2, false],
    ['argon2id of less memory', () => argon2('argon2id', 1024, 2), ARGON2, true],
    ['argon2i', () => argon2('argon2i', 19_456, 2), ARGON2, true],
  ])('%s', async (_, make, settings, rehash) => {
    expect(await new PasswordHasher(settings).verify(PASSWORD, await make())).toEqual({ rehash })
  })
})

describe('long passwords', () => {
  const same72 = 'x'.repeat(72)

  test.each([CHEAP, ARGON2])('that share their first 72 bytes differ (%j)', async (settings) => {
    const ours = new PasswordHasher(settings)
    const hash = await ours.hash(`${same72}one`)
    expect(await matches(ours, `${same72}one`, hash)).toBe(true)
    expect(await matches(ours, `${same72}two`, hash)).toBe(false)
    expect(await matches(ours, same72, hash)).toBe(false)
    expect(await matches(ours, `${same72}`, await ours.hash(same72))).toBe(true)
    expect(await matches(ours, `${same72}more`, await ours.hash(`${same72}mare`))).toBe(false)
  })

  test('a hash of the first 72 bytes, as other systems create it, matches the whole password', async () => {
    const umlauts = 'ä'.repeat(40)
    const imported = await bcrypt(Buffer.from(umlauts).subarray(0, 72))
    expect(await matches(hasher, umlauts, imported)).toBe(true)
    expect(await matches(hasher, 'ä'.repeat(35), imported)).toBe(false)
  })

  test('256 characters of four bytes each', async () => {
    const password = '🐴'.repeat(256)
    expect(await matches(hasher, password, await hasher.hash(password))).toBe(true)
    expect(await matches(hasher, `${'🐴'.repeat(255)}🐎`, await hasher.hash(password))).toBe(false)
  })
})

describe('a password with letters that have two spellings', () => {
  const composed = 'pässwort-läng'
  const decomposed = composed.normalize('NFD')
  const pbkdf2 = (password: string) =>
    `$pbkdf2-sha256$i=10$c2FsdA$${pbkdf2Sync(password, 'salt', 10, 32, 'sha256').toString('base64')}`
  const long = `${'ä'.repeat(30)}${'x'.repeat(20)}`

  test.each<[string, (password: string) => Promise<string> | string]>([
    ['bcrypt', bcrypt],
    ['argon2id', (password) => Bun.password.hash(password, { algorithm: 'argon2id', memoryCost: 1024, timeCost: 1 })],
    ['pbkdf2', pbkdf2],
  ])('matches a hash of either spelling: %s', async (_, make) => {
    for (const spelling of [composed, decomposed]) {
      const hash = await make(spelling)
      expect([spelling, await matches(hasher, composed, hash)]).toEqual([spelling, true])
      expect(await matches(hasher, 'passwort-lang', hash)).toBe(false)
    }
  })

  test('matches bcrypt of the first 72 bytes of either spelling', async () => {
    for (const spelling of [long, long.normalize('NFD')])
      expect(await matches(hasher, long, await bcrypt(Buffer.from(spelling).subarray(0, 72)))).toBe(true)
  })

  test('a hash that another system made is to be rehashed, however much it is like ours', async () => {
    const imported = [await bcrypt(decomposed), await bcrypt(Buffer.from('x'.repeat(72))), await bcrypt(composed)]
    const ours = new PasswordHasher(CHEAP)
    const rehash = async (password: string, hash = '') => (await ours.verify(password, hash))?.rehash
    expect(await rehash('wrong', imported[0])).toBeUndefined()
    expect(await rehash(composed, imported[0])).toBe(true)
    expect(await rehash('x'.repeat(80), imported[1])).toBe(true)
    expect(await rehash(composed, imported[2])).toBe(false)
    expect(await rehash(composed, await ours.hash(composed))).toBe(false)
  })
})

describe('trap 12: what Bun throws on', () => {
  const lines: LogFields[] = []
  const log: Log = { debug() {}, info() {}, warn() {}, error: (fields) => lines.push(fields) }

  test.each([
    '',
    'plain text',
    '$2b$',
    '$2b$99$nonsense',
    '$argon2id$v=19$m=1,t=1,p=1$a$b',
    // Well-formed, but not decodable.
    `$argon2id$v=19$m=8,t=1,p=99$${'a'.repeat(22)}$${'!'.repeat(0)}${'a'.repeat(23)}`,
  ])('a hash that cannot be read matches nothing, and the log says so: %s', async (hash) => {
    lines.length = 0
    expect(await new PasswordHasher(CHEAP, log).verify(PASSWORD, hash)).toBeNull()
    expect(lines.map(({ event }) => event)).toEqual(['hash.unreadable'])
    expect(JSON.stringify(lines)).not.toContain(PASSWORD)
  })

  test('an empty password matches nothing', async () => {
    expect(await matches(hasher, '', await bcrypt(PASSWORD))).toBe(false)
  })
})

describe('the queue', () => {
  const settled = (work: Promise<unknown>[]) =>
    Promise.allSettled(work).then((results) =>
      results.map((result) => (result.status === 'fulfilled' ? 'done' : (result.reason as Problem).code)),
    )

  test.each([
    ['hash', () => (ours: PasswordHasher) => ours.hash(PASSWORD)],
    ['verify', (hash: string) => (ours: PasswordHasher) => ours.verify(PASSWORD, hash)],
    ['verifyDecoy', () => (ours: PasswordHasher) => ours.verifyDecoy(PASSWORD)],
  ] as const)('%s: one per core runs, as many as set wait, the others are overloaded', async (_, make) => {
    const ours = new PasswordHasher({ ...CHEAP, bcryptCost: 7, hashQueue: 3 }, undefined, 2)
    const work = make(await bcrypt(PASSWORD, 7))
    const outcomes = await settled(Array.from({ length: 10 }, () => work(ours)))
    expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(5)
    expect(outcomes.filter((outcome) => outcome === 'overloaded')).toHaveLength(5)
    // All cores and the queue are free again.
    expect(ours.waiting).toBe(0)
    expect(await settled(Array.from({ length: 5 }, () => work(ours)))).toEqual(Array(5).fill('done'))
  })

  test('runs in order, and reports how many wait', async () => {
    const ours = new PasswordHasher(CHEAP, undefined, 1)
    const order: number[] = []
    const all = Array.from({ length: 6 }, (_, i) => ours.hash(PASSWORD).then(() => order.push(i)))
    expect(ours.waiting).toBe(5)
    await Promise.all(all)
    expect(order).toEqual([0, 1, 2, 3, 4, 5])
  })

  test.each<[string, () => Promise<string>]>([
    ['bcrypt', () => bcrypt(PASSWORD, 13)],
    ['pbkdf2', async () => `$pbkdf2-sha256$i=1600000$${'A'.repeat(22)}$${'A'.repeat(43)}`],
    ['argon2', () => argon2('argon2id', 65_536, 9)],
  ])(
    'guesses at an account with an expensive imported hash make nobody else wait: %s',
    async (_, make) => {
      const ours = new PasswordHasher(CHEAP, undefined, 2)
      const [expensive, hash] = [await make(), await bcrypt(PASSWORD)]
      const order: string[] = []
      const guesses = [1, 2].map(() => ours.verify('a guess', expensive).then(() => order.push('guess')))
      await ours.verify(PASSWORD, hash).then(() => order.push('login'))
      expect(order).toEqual(['login'])
      await Promise.all(guesses)
    },
    60_000,
  )

  test('a hash as expensive as ours may use all cores', async () => {
    const ours = new PasswordHasher({ ...CHEAP, bcryptCost: 13, hashQueue: 0 }, undefined, 2)
    const hash = await bcrypt(PASSWORD, 13)
    expect(await settled([ours.verify(PASSWORD, hash), ours.verify(PASSWORD, hash)])).toEqual(['done', 'done'])
  })

  test('a check that fails frees its core', async () => {
    const ours = new PasswordHasher({ ...CHEAP, hashQueue: 0 }, undefined, 1)
    for (let i = 0; i < 3; i++) expect(await matches(ours, PASSWORD, 'unreadable')).toBe(false)
    await expect(ours.hash('')).rejects.toThrow()
    expect(await ours.hash(PASSWORD)).toBeString()
  })

  test('overloaded has a Retry-After', async () => {
    const ours = new PasswordHasher({ ...CHEAP, hashQueue: 0 }, undefined, 1)
    const [first, second] = [ours.hash(PASSWORD), ours.hash(PASSWORD)]
    await expect(second).rejects.toMatchObject({ code: 'overloaded', status: 503, retryAfter: expect.any(Number) })
    await first
  })
})
