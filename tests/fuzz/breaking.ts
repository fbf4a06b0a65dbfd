import fc from 'fast-check'
import { CANARY, type Schema } from './values.ts'

/** A value that removes the field. */
export const MISSING = '(missing)'

const OF_EVERY_TYPE: unknown[] = [7, true, null, [], ['x'], {}, { a: 1 }, 'x']

/** Values that a field of a body may not have: of another type, length, form or choice, or none at all. */
export function broken(schema: Schema, isRequired: boolean): fc.Arbitrary<unknown> {
  const types = [schema.type].flat()
  const kinds = [OF_EVERY_TYPE.filter((value) => !types.includes(typeOf(value)))]
  if (isRequired) kinds.push([MISSING])
  if (types.includes('string')) kinds.push(tooLongOrShort(schema), ofAnotherForm(schema))
  if (types.includes('integer')) kinds.push([1.5, -1, 2 ** 60, '7'], outside(schema))
  if (types.includes('boolean')) kinds.push(['true', 0])
  if (types.includes('array')) kinds.push([Array(99).fill('A'), [7], ['x', 'x'], [null]])
  return fc.oneof(...kinds.filter((values) => values.length > 0).map((values) => fc.constantFrom(...values)))
}

function tooLongOrShort({ maxLength, minLength = 0 }: Schema): string[] {
  const values = minLength > 0 ? ['', 'x'.repeat(minLength - 1)] : []
  if (maxLength !== undefined) values.push('x'.repeat(maxLength + 1), '😀'.repeat(maxLength + 1))
  return values
}

function ofAnotherForm({ enum: choices, format, pattern }: Schema): string[] {
  const values: string[] = []
  if (choices) values.push('no-such-choice', '', ` ${choices[0]}`)
  if (format || pattern) values.push('not !! of this form', 'a line\nand another', '\u009b31m')
  if (format === 'date-time') values.push(...NO_TIMES)
  return values
}

function outside({ maximum, minimum }: Schema): number[] {
  return [...(maximum === undefined ? [] : [maximum + 1]), ...(minimum === undefined ? [] : [minimum - 1])]
}

const NO_TIMES = [
  '2026-02-30T10:00:00Z',
  '2026-01-01T24:00:00Z',
  '2026-01-01T10:00:00',
  '2026-01-01',
  '+012026-01-01T10:00:00Z',
]

/** The same for a query, where everything is text. */
export function brokenQuery(schema: Schema): fc.Arbitrary<string> {
  if (schema.type === 'integer')
    return fc.oneof(
      fc.constantFrom('x', '-1', '1.5', '', '1e3', '0x10', 'NaN', '99999999999', '1 ', '１'),
      fc.constantFrom(...outside(schema).map(String), 'x'),
    )
  return fc.constantFrom(...tooLongOrShort(schema), ...ofAnotherForm(schema), '')
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value === 'number' ? 'integer' : typeof value
}

/** Values that have broken other programs. JSON.parse keeps `__proto__` as a field. */
export const hostile: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    '\0',
    `${CANARY}\0`,
    'a\u0001\u001b[31m\u0007\u009b',
    '\u202eevil\u202c\u2066',
    '\u200b\u200d\ufeff',
    '\ud800',
    `x\udfff${CANARY}`,
    'e\u0301'.repeat(100),
    '\ufdfa'.repeat(60),
    '😀'.repeat(300),
    "' OR 1=1 --",
    "'; DROP TABLE users; --",
    '%" ESCAPE \'\\',
    '../../../../etc/passwd',
    '..%2f..%2fadmin%2fkeys',
    '%00',
    'x\r\nset-cookie: a=b',
    '__proto__',
    'constructor',
    'toString',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what is sent
    '${7*7}{{7*7}}<script>alert(1)</script>',
    'a@example.org,b@example.org',
    'x'.repeat(20_000),
    '9'.repeat(400),
    2 ** 53 + 2,
    1e308,
    -1e308,
    5e-324,
    -0,
    2 ** 63,
    -1,
    JSON.parse('{"__proto__":{"roles":["ADMIN"]}}'),
    JSON.parse('{"constructor":{"prototype":{"x":1}}}'),
    { toString: 'x', valueOf: null },
    { length: -1 },
    { $ne: null },
    [[[[[[[[]]]]]]]],
    Array(2000).fill(null),
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.jsonValue({ maxDepth: 3 }),
)

/** Changes to the text of a body. */
export const MANGLINGS = {
  truncated: (text: string) => text.slice(0, Math.floor(text.length * 0.7)),
  deep: (text: string) => `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)},${text.slice(1)}`,
  'just too deep': () => `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`,
  doubled: (text: string) => `${text}${text}`,
  'with a field twice': (text: string) => text.replace(/^\{("[^"]+":)/, '{$1null,$1'),
  'with a huge number': (text: string) => text.replace(/:("[^"]*"|\d+)/, ':1e999'),
  'with a byte order mark': (text: string) => `\ufeff${text}`,
  'with a comment': (text: string) => `/* */${text}`,
  'in single quotes': (text: string) => text.replaceAll('"', "'"),
  'with a raw control character': (text: string) => text.replace(/":"/, '":"\u0001\n'),
  'of another kind': () => 'null',
  'a list': (text: string) => `[${text}]`,
  empty: () => '',
  large: (text: string) => `${text.slice(0, -1)},"x":"${'x'.repeat(70_000)}"}`,
  padded: (text: string) => text.padEnd(60_000),
  'not UTF-8': (text: string) => Uint8Array.of(...Buffer.from(text), 0xff, 0xfe, 0x7d),
  'in UTF-16': (text: string) => new Uint8Array(Buffer.from(text, 'utf16le')),
} satisfies Record<string, (text: string) => string | Uint8Array>

export type Mangling = keyof typeof MANGLINGS

export const CONTENT_TYPES = [
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-16',
  'application/json; charset="UTF-8"',
  'APPLICATION/JSON',
  'application/x-ndjson',
  'application/jsonl',
  'application/json, text/plain',
  'application/vnd.api+json',
  ',',
  `x/${'y'.repeat(2000)}`,
]

/** Headers that `fetch` sends unchanged. */
export const HEADERS: [string, string][] = [
  ['x-request-id', 'a-request-of-the-fuzzer'],
  ['x-request-id', 'x'.repeat(129)],
  ['x-request-id', 'two words'],
  ['x-forwarded-for', '203.0.113.9, 10.0.0.1'],
  ['x-forwarded-for', `${'1,'.repeat(500)}::ffff:127.0.0.1%lo`],
  ['x-forwarded-host', 'evil.example.org'],
  ['forwarded', 'for="[::1]";host=evil.example.org'],
  ['x-http-method-override', 'DELETE'],
  ['x-original-url', '/admin/keys'],
  ['accept', 'application/xml;q=0.9, text/html'],
  ['accept-encoding', 'gzip;q=0, *;q=0'],
  ['range', 'bytes=0-0,-1'],
  ['if-none-match', '*'],
  ['if-modified-since', 'never'],
  ['origin', 'null'],
  ['cookie', `session=${CANARY}; __proto__=x`],
  ['user-agent', 'x'.repeat(4000)],
  ['user-agent', "' OR 1=1 -- \u00e9"],
  ['content-language', '\u00ff'],
  ['x-api-key', `${CANARY}, `],
  ['x-api-key', ''],
  ['authorization', 'Basic YTpi'],
  ['authorization', 'Bearer'],
  ['authorization', `Bearer ${CANARY} ${CANARY}`],
  ['authorization', `Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.${CANARY}`],
]
