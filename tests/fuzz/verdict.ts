import type { ProblemCode } from '../../services/kit/problem.ts'
import { type Documented, type OpenApiDocument, operationsOf, schemaChecker } from '../openapi/document.ts'
import { LINES, type ResponseValidator, responseValidator } from '../openapi/validator.ts'
import { POLICY, type Caller as Policed } from '../security/policy.ts'
import { PROMPT } from '../support/eventually.ts'
import { namesIn, type Prepared } from './prepare.ts'
import type { Caller, Drawn } from './requests.ts'
import { contradictory, ofLines, ofProblem, secretsIn } from './rules.ts'
import { CANARY } from './values.ts'

/** An answer, however it was fetched. */
export interface Reply {
  status: number
  headers: { get(name: string): string | null }
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: an answer is of any shape until it has been judged
  body: any
  /** Milliseconds. */
  took: number
}

/** Calls of users that a login which waits for an enrolment may make as well, and the one whose client is in the body. */
const BODY_FIRST = /^POST \/api\/v1\/auth\/(factors\/totp(\/confirm)?|introspect|passkeys(\/options)?)$/

const CREDENTIALS: ProblemCode[] = [
  'missing_token',
  'invalid_token',
  'token_expired',
  'token_revoked',
  'invalid_api_key',
  'forbidden',
]
/** Codes for a request that is wrong in itself. */
const FAULTS: ProblemCode[] = ['validation_failed', 'malformed_json', 'body_too_large', 'unsupported_media_type']
/** Codes that any path may answer to a request that matches no operation. */
const UNROUTED: ProblemCode[] = [...FAULTS, 'not_found', 'method_not_allowed', 'missing_token']

const AS_POLICED: Record<Caller, Policed | undefined> = {
  nobody: 'no one',
  user: 'the owner',
  other: 'another user',
  admin: 'an admin',
  operator: 'the operator key',
  internal: 'the internal key',
  'unknown key': undefined,
  damaged: undefined,
}

/** Whether the caller's credentials are accepted, and the code of a refusal. */
interface Entry {
  may: boolean
  code: ProblemCode | undefined
}

/** Judges answers by the documents of a running system and by the caller. */
export class Validator {
  private readonly complaints = new Map<string, { one: Documented; complaint: ResponseValidator }>()
  private readonly check: (schema: object, value: unknown) => string | undefined

  constructor(
    documents: readonly OpenApiDocument[],
    private readonly limits: boolean,
  ) {
    for (const document of documents) {
      const complaint = responseValidator(document)
      for (const one of operationsOf(document)) this.complaints.set(one.call, { one, complaint })
    }
    this.check = schemaChecker(documents[0] as OpenApiDocument)
  }

  /** Whether a request matches the schemas of its operation. */
  conforms({ call }: Drawn, { query, type, value }: Prepared): boolean {
    const { operation } = this.of(call).one
    const parameters = (operation.parameters ?? []).filter((one) => one.in === 'query')
    const names = new Set(parameters.map(({ name }) => name))
    if (parameters.length > 0 && Object.keys(query).some((name) => !names.has(name))) return false
    for (const { name, required, schema } of parameters) {
      const text = query[name]
      if (text === undefined && required) return false
      if (text !== undefined && this.check(schema, read(text, schema)) !== undefined) return false
    }
    const media = operation.requestBody?.content
    if (value === undefined) return !operation.requestBody?.required
    if (!media) return Object.keys(value as object).length === 0
    const schema = media[type ?? '']?.schema
    if (!schema) return false
    const values = type === LINES ? (value as unknown[]) : [value]
    return values.every((one) => this.check(schema, one) === undefined)
  }

  /** The faults of an answer. */
  faults(drawn: Drawn, prepared: Prepared, reply: Reply): string[] {
    // Bun refuses a broken request itself, before any code runs, with an empty answer, or closes.
    if (reply.text === '' && [0, 400, 413, 431, 505].includes(reply.status)) return []
    const faults = this.commonFaults(reply, { mayBeUnready: drawn.call.endsWith(' /api/v1/health/ready') })
    if (reply.status >= 400 && secretsIn(prepared.value).some((secret) => reply.text.includes(secret)))
      faults.push('a secret that was sent comes back')
    // A browser that asks for a path that nothing has gets a page.
    if (faults.length > 0 || isPage(reply)) return faults
    const { body, status } = reply
    const may = otherCredentials(drawn) ? undefined : this.may(drawn)
    const raw = drawn.twists.find((twist) => twist.at === 'raw')
    // A HEAD is a GET, which may be for other callers.
    if (raw?.at === 'raw')
      return may === false && status < 300 && status > 0 && raw.how !== 'HEAD'
        ? [`${drawn.caller} gets in: ${status}`]
        : []
    const { complaint, one } = this.of(drawn.call)
    const code: ProblemCode | undefined = status >= 400 ? body.code : undefined
    const astray = may !== false || drawn.twists.some(({ at }) => at === 'path')
    if (drawn.kind === 'hostile' && astray && code !== undefined && UNROUTED.includes(code)) return []
    // The path is that of another operation, or of no operation.
    if (Object.values(prepared.path).some((value) => /^\.{0,2}$/.test(value))) return []
    const undocumented = complaint(one, reply)
    if (undocumented.length > 0) return undocumented
    return may === undefined ? [] : this.ofCaller(drawn, prepared, reply, { may, code })
  }

  /**
   * Faults that no answer may have, whatever the request.
   * @param mayBeUnready on a machine so busy that a feed is late, a service is not ready, and says so by a documented 503
   */
  private commonFaults(reply: Reply, { mayBeUnready }: { mayBeUnready: boolean }): string[] {
    const { body, headers, status, text, took } = reply
    const faults: string[] = []
    if (status >= 500 && !(status === 503 && mayBeUnready)) faults.push(`${status}: ${text}`)
    if (status === 429 && !this.limits) faults.push('429 without limits')
    if (status === 429 && !(Number(headers.get('retry-after')) > 0)) faults.push('429 does not say when to come again')
    const id = headers.get('x-request-id')
    if (!id) faults.push('there is no x-request-id')
    for (const [name, value] of [
      ['x-content-type-options', 'nosniff'],
      ['referrer-policy', isPage(reply) ? 'same-origin' : 'no-referrer'],
    ] as const)
      if (headers.get(name) !== value) faults.push(`${name} is ${headers.get(name)}`)
    if (headers.get('set-cookie') !== null) faults.push('a header has been split')
    if (text.includes(CANARY)) faults.push('a secret comes back')
    // A HEAD has no body.
    if (status >= 400 && text !== '' && !isPage(reply)) faults.push(...ofProblem(status, body, id))
    // A request that ends a session waits for the other services, at most one second.
    if (took > PROMPT) faults.push(`it took ${Math.round(took)} ms`)
    return faults
  }

  private ofCaller(drawn: Drawn, prepared: Prepared, reply: Reply, { may, code }: Entry): string[] {
    const { caller, kind } = drawn
    const { status, text } = reply
    // A login that waits for a second factor, or a client, is named in the body: the body is read first.
    if (!may && BODY_FIRST.test(drawn.call) && status < 500 && status >= 400) return []
    if (!may) return code && CREDENTIALS.includes(code) ? [] : [`${caller} may not, and is answered ${status}: ${text}`]
    if (code !== undefined && ['invalid_api_key', 'invalid_token', 'token_expired'].includes(code))
      return [`${caller} may, and is answered ${code}`]
    if (status < 300 && namesAnother(drawn))
      return [`${caller} reaches what is another's, and is answered ${status}: ${text}`]
    if (kind === 'hostile') return []
    if (this.conforms(drawn, prepared)) {
      if (code === undefined || !FAULTS.includes(code)) return []
      if (contradictory(drawn, prepared)) return []
      return [`it is valid by its schemas, and is answered ${status}: ${text}`]
    }
    if (prepared.type === LINES && !('nickname' in prepared.query) && status === 200) return ofLines(text)
    // A field that only an operator may set is refused before a missing field.
    return status === 400 || code === 'forbidden_field' || code === 'body_too_large'
      ? []
      : [`it is not valid by its schemas, and is answered ${status}: ${text}`]
  }

  /** Whether the credential alone is enough for this caller; undefined if more than the credential decides. */
  private may({ call, caller }: Drawn): boolean | undefined {
    // The client is in the body, or in a header that no caller here has.
    if (call.endsWith('/oauth/token')) return undefined
    const { security } = this.of(call).one.operation
    const ways = security.flatMap((way) => Object.keys(way))
    // A valid refresh token is enough there, whatever access token comes with it.
    if (caller === 'damaged' && call.endsWith('/auth/logout')) return undefined
    const policed = AS_POLICED[caller]
    // A public operation ignores credentials; where they are optional, a credential that is sent must be valid.
    if (policed === undefined) return ways.length === 0 || call.endsWith('/validate-token')
    const status = POLICY.find((policy) => policy.call === call)?.statuses[policed]
    return status === undefined ? undefined : status !== 401 && status !== 403
  }

  private of(call: string) {
    const complaints = this.complaints.get(call)
    if (!complaints) throw new Error(`${call} is in no document`)
    return complaints
  }
}

/** Whether a request comes with credentials that are not its caller's. */
export function otherCredentials({ twists }: Drawn): boolean {
  return twists.some((twist) => twist.at === 'header' && /^(authorization|x-api-key)$/.test(twist.name))
}

/** Whether the path names a resource of another user, which is answered as if it did not exist. */
function namesAnother({ call, caller, path, twists }: Drawn): boolean {
  const another = { user: 'other.', other: 'own.' }[caller as string]
  if (another === undefined || twists.some(({ at }) => at === 'path')) return false
  const policy = POLICY.find((one) => one.call === call)
  return policy?.statuses['another user'] === 404 && namesIn(path).some((name) => name.startsWith(another))
}

function read(text: string, { type }: Record<string, unknown>): unknown {
  return type === 'integer' && /^\d+$/.test(text) ? Number(text) : text
}

/** Whether an answer is the page about a path that nothing has. Everything else is an answer of the API. */
function isPage({ headers, status }: Reply): boolean {
  return status === 404 && headers.get('content-type') === 'text/html; charset=utf-8'
}
