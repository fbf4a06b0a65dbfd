import { describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { readBrowser, signBrowser } from './browser.ts'

const KEY = 'an-internal-key-of-at-least-32-characters'
const NEXT_KEY = 'another-internal-key-of-32-characters-or-more'
const AT = 1_900_000_000_000
const BROWSER = { ip: '203.0.113.7', userAgent: 'Mozilla/5.0 (X11; Linux x86_64) "й"' }
const REQUEST = { method: 'POST', path: '/api/v1/auth/login' }

const value = signBrowser(KEY, { ...REQUEST, at: AT, browser: BROWSER })
const read = (text: string, { keys = [KEY], ...request } = {} as { keys?: string[]; now?: number }) =>
  readBrowser(keys, text, { ...REQUEST, now: AT, ...request })

test('a signed description is read', () => {
  expect(read(value)).toEqual(BROWSER)
  const unknown = { ip: null, userAgent: null }
  expect(read(signBrowser(KEY, { ...REQUEST, at: AT, browser: unknown }))).toEqual(unknown)
})

test('each of several keys may have signed it', () => {
  expect(read(value, { keys: [NEXT_KEY, KEY] })).toEqual(BROWSER)
  expect(read(value, { keys: [KEY, NEXT_KEY] })).toEqual(BROWSER)
  expect(read(value, { keys: [NEXT_KEY] })).toBeNull()
  expect(read(value, { keys: [] })).toBeNull()
})

test('it is valid for a minute, by clocks that differ either way', () => {
  for (const now of [AT - 60_000, AT + 60_000]) expect([now, read(value, { now })]).toEqual([now, BROWSER])
  for (const now of [AT - 60_001, AT + 60_001, 0, Number.NaN]) expect([now, read(value, { now })]).toEqual([now, null])
})

test('it is valid for one method and path', () => {
  const of = (request: object) => readBrowser([KEY], value, { ...REQUEST, now: AT, ...request })
  for (const method of ['GET', 'post', '']) expect([method, of({ method })]).toEqual([method, null])
  for (const path of ['/auth/login', '/api/v1/auth/login/', '/api/v1/auth/refresh', '/api/v1/auth/login?a=b', ''])
    expect([path, of({ path })]).toEqual([path, null])
})

test('the user agent is cut where the audit cuts it', () => {
  const userAgent = 'я'.repeat(5000)
  const long = signBrowser(KEY, { ...REQUEST, at: AT, browser: { ip: '::1', userAgent } })
  expect(read(long)?.userAgent).toBe('я'.repeat(256))
  // Every character escaped: the longest value that is ever signed.
  const escaped = signBrowser(KEY, {
    ...REQUEST,
    at: AT,
    browser: { ip: '\0'.repeat(100), userAgent: '\0'.repeat(300) },
  })
  expect(read(escaped)).toEqual({ ip: '\0'.repeat(64), userAgent: '\0'.repeat(256) })
})

describe('a value that is not signed with a key is ignored:', () => {
  const [at = '', described = '', sent = ''] = value.split('.')
  const other = Buffer.from(JSON.stringify(['198.51.100.1', BROWSER.userAgent])).toString('base64url')
  const bare = createHmac('sha256', KEY).update(described).digest('base64url')
  // The 43rd character of a signature has two bits that belong to no byte.
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const respelled = sent.slice(0, -1) + last[last.indexOf(sent.slice(-1)) ^ 1]
  const rows: [string, string][] = [
    ['empty', ''],
    ['text', '203.0.113.7'],
    ['JSON', JSON.stringify(BROWSER)],
    ['without a signature', `${at}.${described}.`],
    ['another address', `${at}.${other}.${sent}`],
    ['another time', `${Number(at) + 1}.${described}.${sent}`],
    ['a time of another spelling', `0${at}.${described}.${sent}`],
    ['a time that is not one', `NaN.${described}.${sent}`],
    ['a signature of something else', `${at}.${described}.${bare}`],
    ['a signature of another spelling', `${at}.${described}.${respelled}`],
    ['a signature that is cut', `${at}.${described}.${sent.slice(0, -1)}`],
    ['two values', `${value}, ${value}`],
    ['a blank', ` ${value}`],
    ['a line break', `${value}\n`],
    ['a long one', `${at}.${'A'.repeat(1_000_000)}.${sent}`],
    ['the key', KEY],
  ]
  test.each(rows)('%s', (_, text) => {
    expect(read(text)).toBeNull()
  })
})
