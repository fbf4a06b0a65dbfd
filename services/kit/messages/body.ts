import { errorOf, type FieldError, mistyped, notAllowed } from '../field-errors.ts'
import { invalid, invalidField, Problem } from '../problem.ts'

/** Bytes of a body. */
const BODY_MAX = 64 * 1024
/** Objects and arrays within each other. */
const DEPTH_MAX = 32

/**
 * The value of a body, or its problem. The caller gets the problem only after their credentials were checked. A problem
 * with single fields comes with the value, so that errors of other fields can be added.
 */
export type Body = { value: object } | { problem: Problem; value?: object }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

const FORMS_TOO = 'The content type must be application/x-www-form-urlencoded or application/json'

/**
 * Reads a JSON body: at most 64 KiB (counted while it arrives, so that the limit holds for chunked bodies too), UTF-8, an
 * object, at most 32 levels deep. Strings are normalized to NFC; lone surrogates and NUL are errors. An empty body is an
 * object without fields. If a field is repeated, the last one counts, as in `JSON.parse`.
 * @param options `acceptsForm`: the route is one of OAuth, which also accepts `application/x-www-form-urlencoded`
 * (RFC 7009, RFC 7662). Its strings are not normalized: tokens are compared as they were sent
 */
export async function readBody(request: Request, { acceptsForm }: { acceptsForm: boolean }): Promise<Body> {
  const bytes = await readBytes(request, BODY_MAX)
  if (bytes === null) return { problem: new Problem('body_too_large') }
  if (bytes.byteLength === 0) return { value: {} }

  const encoding = encodingProblem(request.headers)
  if (encoding) return { problem: encoding }
  const type = mediaType(request.headers.get('content-type'))
  const isForm = acceptsForm && type === 'application/x-www-form-urlencoded'
  if (!isForm && type !== 'application/json')
    return { problem: new Problem('unsupported_media_type', acceptsForm ? { message: FORMS_TOO } : {}) }

  const source = decode(bytes)
  if (typeof source !== 'string') return source
  if (isForm) return readForm(source)
  // ASCII without escapes is in NFC already.
  const isPlainAscii = source.length === bytes.byteLength && !source.includes('\\')
  return readObject(source, { normalize: !acceptsForm && !isPlainAscii })
}

/** Refuses compressed bodies, which could unpack to any size (RFC 9110, 8.4 and 15.5.16). */
export function encodingProblem(headers: Headers): Problem | undefined {
  const header = headers.get('content-encoding')
  if (header === null) return undefined
  const codings = header
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
  const coding = codings.find((name) => name !== '' && name !== 'identity')
  if (coding === undefined) return undefined
  const name = /^[\w.+-]{1,32}$/.test(coding) ? ` ${coding}` : ''
  return new Problem('unsupported_media_type', {
    message: `The content encoding${name} is not supported: send the body without one`,
  })
}

/** The parameters that every OAuth request may have (RFC 7009, 7662 and 6749). */
const PARAMETERS = [
  'token',
  'token_type_hint',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
]

/**
 * Reads the parameters of an OAuth request (RFC 6749, 3.2): a parameter without a value counts as omitted, and none may
 * be repeated. A repeated one that only some routes know becomes an array: those refuse it, and the others ignore it, as
 * some, such as `resource`, may be repeated.
 */
function readForm(source: string): Body {
  const fields = new Map<string, string | string[]>()
  for (const [name, value] of new URLSearchParams(source)) {
    if (value === '') continue
    if (fields.has(name) && PARAMETERS.includes(name))
      return { problem: invalidField(name, notAllowed('must not be repeated')) }
    fields.set(name, fields.has(name) ? [] : value)
  }
  return { value: Object.fromEntries(fields) }
}

const UNREADABLE = 'The body is not valid JSON in UTF-8'

/** The text of a body, or the problem that the body is not UTF-8. */
export function decode(bytes: Uint8Array): string | { problem: Problem } {
  try {
    return utf8.decode(bytes)
  } catch {
    return { problem: malformed(UNREADABLE) }
  }
}

/** Reads the text of one JSON object, by the rules of `readBody`. */
export function readObject(source: string, { normalize }: { normalize: boolean } = { normalize: true }): Body {
  try {
    if (isTooDeep(source)) return { problem: malformed('The body is nested too deeply') }
    const value: unknown = JSON.parse(source)
    // Checked here, because the validation of an optional body accepts any value that is not an object.
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalidField('body', mistyped('an object'))
    return normalize ? normalizeStrings(value) : { value }
  } catch (error) {
    // The parser's own message quotes the body, which may hold a password.
    return { problem: error instanceof Problem ? error : malformed(UNREADABLE) }
  }
}

function malformed(message: string): Problem {
  return new Problem('malformed_json', { message })
}

/** Reads the bytes of a body. @returns null when it is larger than `most` bytes; the rest is not read */
export async function readBytes(request: Request, most: number): Promise<Uint8Array | null> {
  const contentLength = request.headers.get('content-length')
  if (contentLength !== null) {
    if (Number(contentLength) > most) return null
    return new Uint8Array(await request.arrayBuffer())
  }
  if (!request.body) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body) {
    size += chunk.byteLength
    if (size > most) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The media type of a header, in lower case and without parameters; empty for a charset other than UTF-8. */
export function mediaType(header: string | null): string {
  if (header === null) return ''
  if (header === 'application/json') return header
  const [type = '', ...parameters] = header.toLowerCase().split(';')
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='))
  if (charset && !/^charset="?utf-?8"?$/.test(charset)) return ''
  return type.trim()
}

/** Whether a text has too many levels. It is called before parsing: the parser fails on 20,000, validation hangs on 50,000. */
function isTooDeep(source: string): boolean {
  // Most bodies are flat objects.
  if (source.indexOf('{', 1) < 0 && source.indexOf('[') < 0) return false
  let depth = 0
  let inString = false
  for (let i = 0; i < source.length; i++) {
    const character = source.charCodeAt(i)
    if (inString) {
      if (character === 92) i++
      else if (character === 34) inString = false
    } else if (character === 34) inString = true
    else if (character === 123 || character === 91) {
      if (++depth > DEPTH_MAX) return true
    } else if (character === 125 || character === 93) depth--
  }
  return false
}

/**
 * Normalizes every string of a value to NFC, in place: a password is the same whether typed on a Mac (NFD) or elsewhere
 * (NFC). Lone surrogates are refused, because the hasher treats any two of them as equal.
 */
function normalizeStrings(value: object): Body {
  const errors: FieldError[] = []
  toNfc(value, '', errors)
  return errors.length > 0 ? { problem: invalid(errors), value } : { value }
}

function toNfc(value: unknown, path: string, errors: FieldError[]): unknown {
  if (typeof value === 'string') {
    const forbidden = value.isWellFormed() ? value.includes('\0') && 'NUL' : 'lone surrogates'
    if (!forbidden) return value.normalize('NFC')
    errors.push(errorOf(path, { code: 'pattern', message: `must not contain ${forbidden}` }))
    return value
  }
  if (value === null || typeof value !== 'object') return value
  for (const [name, field] of Object.entries(value)) {
    // defineProperty keeps `__proto__` from a body an own property, until it is refused as unknown.
    const clean = toNfc(field, `${path}${path && '.'}${name}`, errors)
    if (clean !== field) Object.defineProperty(value, name, { value: clean, enumerable: true })
  }
  return value
}
