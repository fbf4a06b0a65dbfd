import { expect, test } from 'bun:test'
import { Codes } from '../../kit/tokens/sealing.ts'
import { hashOf, isCode, mailedSecrets, secretsOf } from './secrets.ts'

const [SECRET, OTHER] = ['a'.repeat(40), 'b'.repeat(40)]
const codesOf = (...secrets: string[]) => new Codes(secrets, 'challenges of the tests')
const secrets = (codes: Codes, mailId: string) => {
  const [first] = secretsOf(codes, mailId)
  if (!first) throw new Error('No secret')
  return first
}

test('contract 12: a link has 128 bits, a code six digits, and a mail always the same', () => {
  const codes = codesOf(SECRET)
  const one = secrets(codes, 'mail-1')
  expect(Buffer.from(one.token, 'base64url')).toHaveLength(16)
  expect(one.code).toMatch(/^\d{6}$/)
  expect(one.tokenHash).toEqual(hashOf(one.token))
  expect(secrets(codesOf(SECRET), 'mail-1')).toEqual(one)
})

test('they cannot be made without CH202_SECRET, nor a code from the token of its link', () => {
  const [one, other] = [secrets(codesOf(SECRET), 'mail-1'), secrets(codesOf(OTHER), 'mail-1')]
  expect(other.token).not.toBe(one.token)
  expect(secrets(codesOf(SECRET), 'mail-2').token).not.toBe(one.token)
  const isFromToken = (mailId: string) => {
    const { code, token } = secrets(codesOf(SECRET), mailId)
    const number = Buffer.from(token, 'base64url').readUIntBE(0, 6) % 1_000_000
    return Number(code) === number
  }
  expect(Array.from({ length: 20 }, (_, n) => isFromToken(`mail-${n}`)).filter(Boolean).length).toBeLessThan(2)
})

test('ASVS 6.5.4: the codes of many mails are spread over all numbers', () => {
  const codes = codesOf(SECRET)
  const MAILS = 10_000
  const tenths = Array.from({ length: 10 }, () => 0)
  for (let n = 0; n < MAILS; n++) {
    const tenth = Number(secrets(codes, `mail-${n}`).code[0])
    tenths[tenth] = (tenths[tenth] ?? 0) + 1
  }
  // The secret and the ids are fixed, so the counts are too. Each is within five standard deviations of a tenth.
  for (const count of tenths) expect(Math.abs(count - MAILS / 10)).toBeLessThan(5 * Math.sqrt(MAILS * 0.09))
})

test('a mail that was written before CH202_SECRET changed keeps its secrets while the older one is known', () => {
  const older = secrets(codesOf(OTHER), 'mail-1')
  const challenge = { mailId: 'mail-1', tokenHash: older.tokenHash }
  expect(mailedSecrets(codesOf(SECRET, OTHER), challenge)).toEqual(older)
  expect(mailedSecrets(codesOf(SECRET), challenge)).toBeUndefined()
  expect(mailedSecrets(codesOf(SECRET, OTHER), { mailId: 'mail-1', tokenHash: null })).toBeUndefined()
})

test('a code may be typed with blanks, and nothing else matches it', () => {
  for (const typed of ['042817', '042 817', ' 042817\n', '0 4 2 8 1 7'])
    expect([typed, isCode(typed, '042817')]).toEqual([typed, true])
  for (const typed of ['', '42817', '0428170', '042-817', '０４２８１７', '042818'])
    expect([typed, isCode(typed, '042817')]).toEqual([typed, false])
})
