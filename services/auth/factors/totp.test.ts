import { describe, expect, test } from 'bun:test'
import { SECOND } from '../../kit/clock.ts'
import type { TotpForm } from '../store/index.ts'
import { fromBase32, matchedStep, NEW_TOTP, toBase32, totpCode, totpStep, totpUri } from './totp.ts'

const SHA1 = Buffer.from('12345678901234567890')
const SECRETS: Record<TotpForm['algorithm'], Buffer> = {
  SHA1,
  SHA256: Buffer.from('12345678901234567890123456789012'),
  SHA512: Buffer.from('1234567890123456789012345678901234567890123456789012345678901234'),
}
const form = (algorithm: TotpForm['algorithm']): TotpForm => ({ algorithm, digits: 8, period: 30 })

describe('check 46: codes', () => {
  /** RFC 6238, appendix B, with the secrets of its errata: seconds, and the code of each hash function. */
  const VECTORS: [seconds: number, sha1: string, sha256: string, sha512: string][] = [
    [59, '94287082', '46119246', '90693936'],
    [1_111_111_109, '07081804', '68084774', '25091201'],
    [1_111_111_111, '14050471', '67062674', '99943326'],
    [1_234_567_890, '89005924', '91819424', '93441116'],
    [2_000_000_000, '69279037', '90698825', '38618901'],
    [20_000_000_000, '65353130', '77737706', '47863826'],
  ]
  test.each(VECTORS)('of RFC 6238 at %d s', (seconds, sha1, sha256, sha512) => {
    const codes = [sha1, sha256, sha512]
    for (const [index, algorithm] of (['SHA1', 'SHA256', 'SHA512'] as const).entries()) {
      const step = totpStep(form(algorithm), seconds * SECOND)
      expect(totpCode(SECRETS[algorithm], form(algorithm), step)).toBe(codes[index] ?? '')
    }
  })

  test('of RFC 4226, appendix D', () => {
    const codes = Array.from({ length: 10 }, (_, step) => totpCode(SHA1, NEW_TOTP, step))
    expect(codes.join(' ')).toBe('755224 287082 359152 969429 338314 254676 287922 162583 399871 520489')
  })

  test('match one step early or late, and no further, whatever blanks are typed', () => {
    const now = 1_800_000_000 * SECOND
    const step = totpStep(NEW_TOTP, now)
    for (const distance of [-3, -2, -1, 0, 1, 2, 3]) {
      const code = totpCode(SHA1, NEW_TOTP, step + distance)
      const expected = Math.abs(distance) <= 1 ? step + distance : null
      for (const typed of [code, `${code.slice(0, 3)} ${code.slice(3)}`, ` ${code}\n`])
        expect([distance, matchedStep(SHA1, NEW_TOTP, typed, now)]).toEqual([distance, expected])
    }
    // The last millisecond of a step, and the first one of the next.
    const start = step * 30 * SECOND
    const code = totpCode(SHA1, NEW_TOTP, step)
    expect(matchedStep(SHA1, NEW_TOTP, code, start - 30 * SECOND)).toBe(step)
    expect(matchedStep(SHA1, NEW_TOTP, code, start - 30 * SECOND - 1)).toBeNull()
    expect(matchedStep(SHA1, NEW_TOTP, code, start + 60 * SECOND - 1)).toBe(step)
    expect(matchedStep(SHA1, NEW_TOTP, code, start + 60 * SECOND)).toBeNull()
  })

  test.each(['', ' ', '75522', '7552240', '٧٥٥٢٢٤', 'abcdef', '-55224', '755224\0'])('are not %p', (typed) => {
    expect(matchedStep(SHA1, NEW_TOTP, typed, 0)).toBeNull()
  })
})

describe('a secret', () => {
  /** RFC 4648, 10, without padding. */
  const BASE32: [string, string][] = [
    ['', ''],
    ['f', 'MY'],
    ['fo', 'MZXQ'],
    ['foo', 'MZXW6'],
    ['foob', 'MZXW6YQ'],
    ['fooba', 'MZXW6YTB'],
    ['foobar', 'MZXW6YTBOI'],
  ]
  test.each(BASE32)('of %p is %p in Base32', (bytes, text) => {
    expect(toBase32(Buffer.from(bytes))).toBe(text)
    for (const typed of [text, text.toLowerCase(), `${text.slice(0, 4)} ${text.slice(4)}`, `${text}======`])
      expect(fromBase32(typed)?.toString()).toBe(bytes)
  })

  test.each(['M', 'MZX', 'MZXW6Y', 'M1', 'MZ=XQ', 'ÄÖ', 'MY\0'])('is not read from %p', (text) => {
    expect(fromBase32(text)).toBeNull()
  })

  test('has an address that nobody can extend by a name', () => {
    const names = { issuer: 'A:B & C?', account: 'x&secret=MY#@example.org' }
    const uri = new URL(totpUri(SHA1, NEW_TOTP, names))
    expect([...uri.searchParams]).toEqual([
      ['secret', toBase32(SHA1)],
      ['issuer', 'A B & C?'],
      ['algorithm', 'SHA1'],
      ['digits', '6'],
      ['period', '30'],
    ])
    expect(decodeURIComponent(uri.pathname)).toEndWith('/A B & C?:x&secret=MY#@example.org')
  })
})
