import { errorOf, type FieldError, mistyped, notAllowed } from '../field-errors.ts'
import { invalid, invalidField, Problem } from '../problem.ts'

const BODY_MAX = 64 * 1024
const DEPTH_MAX = 32

/**
 * A body as it was read, or why it will not do: for the caller only once their credentials were checked. A problem of
 * single fields comes with the value, so that what else is wrong with it can be added.
 */
export type Body = { value: object } | { problem: Problem; value?: object }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

const FORMS_TOO = 'The content type must be application/x-www-form-urlencoded or application/json'

/**
 * Reads a JSON body: at most 64 KiB (counted while it arrives, so that a chunked one is held to it too), UTF-8, an
 * object, nested at most 32 deep, every string in NFC, no lone surrogate and no NUL. An empty one is an object without
 * fields. Of two fields of one name the last counts, as in `JSON.parse`.
 * @param forms whether it is a call of OAuth: `application/x-www-form-urlencoded` will do as well (RFC 7009, RFC 7662), and
 * strings are left as they were sent. A token is compared so, and of other parameters none may make a difference
 */
export async function readBody(request: Request, forms: boolean): Promise<Body> {
  const bytes = await readBytes(request, BODY_MAX)
  if (bytes === null) return { problem: new Problem('body_too_large') }
  if (bytes.byteLength === 0) return { value: {} }

  const encoded = encodingProblem(request.headers)
  if (encoded) return { problem: encoded }
  const type = mediaType(request.headers.get('content-type'))
  const form = forms && type === 'application/x-www-form-urlencoded'
  if (!form && type !== 'application/json')
    return { problem: new Problem('unsupported_media_type', forms ? { message: FORMS_TOO } : {}) }

  const source = decode(bytes)
  if (typeof source !== 'string') return source
  if (form) return readForm(source)
  return readObject(source, forms || (source.length === bytes.byteLength && !source.includes('\\')))
}

/** A body is read as it was sent: one that was compressed could be of any size (RFC 9110, 8.4 and 15.5.16). */
export function encodingProblem(headers: Headers): Problem | undefined {
  const sent = headers.get('content-encoding')
  if (sent === null) return undefined
  const codings = sent
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
  const coding = codings.find((name) => name !== '' && name !== 'identity')
  if (coding === undefined) return undefined
  const named = /^[\w.+-]{1,32}$/.test(coding) ? ` ${coding}` : ''
  return new Problem('unsupported_media_type', {
    message: `The content encoding${named} is not supported: send the body without one`,
  })
}

/** The parameters of the calls of OAuth that mean something to a server (RFC 7009, 7662 and 6749). */
const PARAMETERS = [
  'token',
  'token_type_hint',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
]

/**
 * Reads the parameters of a call of OAuth (RFC 6749, 3.2): one without a value counts as left out, and none may come
 * twice. Those that are not known are ignored, however often they come: some, such as `resource`, may be several.
 */
function readForm(source: string): Body {
  const fields = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(source)) {
    if (value === '') continue
    if (fields.has(name) && PARAMETERS.includes(name))
      return { problem: invalidField(name, notAllowed('must not be repeated')) }
    fields.set(name, value)
  }
  return { value: Object.fromEntries(fields) }
}

const UNREADABLE = 'The body is not valid JSON in UTF-8'

/** The text of a body, or the problem that it is not UTF-8. */
export function decode(bytes: Uint8Array): string | { problem: Problem } {
  try {
    return utf8.decode(bytes)
  } catch {
    return { problem: malformed(UNREADABLE) }
  }
}

/**
 * Reads the text of one JSON object, by the rules of `readBody`.
 * @param asSent whether its strings are left as they are, as where there is but one spelling: of ASCII without an escape
 */
export function readObject(source: string, asSent = false): Body {
  try {
    if (tooDeep(source)) return { problem: malformed('The body is nested too deeply') }
    const value: unknown = JSON.parse(source)
    // Here, because the validation of a body that may be left out lets pass whatever is no object.
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalidField('body', mistyped('an object'))
    return asSent ? { value } : normalized(value)
  } catch (error) {
    // The parser's own message quotes the body, which may hold a password.
    return { problem: error instanceof Problem ? error : malformed(UNREADABLE) }
  }
}

function malformed(message: string): Problem {
  return new Problem('malformed_json', { message })
}

/** `null`: larger than `most` bytes. The rest of it is not read. */
export async function readBytes(request: Request, most: number): Promise<Uint8Array | null> {
  const announced = request.headers.get('content-length')
  if (announced !== null) {
    if (Number(announced) > most) return null
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

/** Lower-cased, without parameters; a charset other than UTF-8 makes it a type that we don't take. */
export function mediaType(header: string | null): string {
  if (header === null) return ''
  if (header === 'application/json') return header
  const [type = '', ...parameters] = header.toLowerCase().split(';')
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='))
  if (charset && !/^charset="?utf-?8"?$/.test(charset)) return ''
  return type.trim()
}

/** Looks at the text before it is parsed: the parser itself fails on 20,000 levels, and validation stalls on 50,000. */
function tooDeep(source: string): boolean {
  // Most bodies are one flat object.
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
 * One spelling for every string that comes in: a password typed on a Mac (NFD) and one typed elsewhere (NFC) are the
 * same. A lone surrogate is refused, because the hasher calls any two of them equal.
 */
function normalized(value: object): Body {
  const errors: FieldError[] = []
  inNfc(value, '', errors)
  return errors.length > 0 ? { problem: invalid(errors), value } : { value }
}

function inNfc(value: unknown, path: string, errors: FieldError[]): unknown {
  if (typeof value === 'string') {
    const foreign = value.isWellFormed() ? value.includes('\0') && 'NUL' : 'lone surrogates'
    if (!foreign) return value.normalize('NFC')
    errors.push(errorOf(path, { code: 'pattern', message: `must not contain ${foreign}` }))
    return value
  }
  if (value === null || typeof value !== 'object') return value
  for (const [name, field] of Object.entries(value)) {
    // Own properties only: `__proto__` from a body is one, and stays one until it is refused as unknown.
    const clean = inNfc(field, `${path}${path && '.'}${name}`, errors)
    if (clean !== field) Object.defineProperty(value, name, { value: clean, enumerable: true })
  }
  return value
}
