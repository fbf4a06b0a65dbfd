import { notAllowed } from '../../kit/field-errors.ts'
import { Problem } from '../../kit/problem.ts'
import { isUuid } from '../../kit/random.ts'
import { refusedRequest } from './refused-request.ts'

/** The credentials that a client sends. */
export type ClientCredentials =
  | { method: 'none'; clientId: string }
  | { method: 'client_secret_basic' | 'client_secret_post'; clientId: string; secret: string }
  | { method: 'private_key_jwt'; clientId: string; assertion: string }

/** The parameters of a form by which a client authenticates. */
export interface CredentialParameters {
  client_id?: string | undefined
  client_secret?: string | undefined
  client_assertion?: string | undefined
  client_assertion_type?: string | undefined
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const ONE_WAY = notAllowed('must not be beside other credentials: a client authenticates in one way (RFC 6749, 2.3)')
const BASIC = /^basic +([a-z0-9+/]+=*)$/i

/**
 * Reads the credentials of a client from a request (RFC 6749, 2.3; RFC 7521, 4.2).
 * @param authorization the value of the header
 * @returns undefined when the request has no credentials
 * @throws Problem when there are several, or when they are malformed
 */
export function clientCredentials(
  authorization: string | null,
  parameters: CredentialParameters,
): ClientCredentials | undefined {
  const { client_assertion, client_assertion_type, client_id, client_secret } = parameters
  const basic = authorization === null ? undefined : basicCredentials(authorization)
  if ([basic, client_secret, client_assertion].filter((value) => value !== undefined).length > 1)
    throw refusedRequest('invalid_request', basic ? 'authorization' : 'client_secret', ONE_WAY)
  if (basic) {
    if (client_id !== undefined && client_id !== basic.clientId) throw invalidClient(authorization)
    return basic
  }
  if (client_assertion !== undefined) {
    if (client_assertion_type !== ASSERTION_TYPE)
      throw refusedRequest('invalid_request', 'client_assertion_type', notAllowed(`must be ${ASSERTION_TYPE}`))
    const clientId = client_id ?? subjectOf(client_assertion)
    return { method: 'private_key_jwt', clientId, assertion: client_assertion }
  }
  if (client_id === undefined) return undefined
  if (client_secret === undefined) return { method: 'none', clientId: client_id }
  return { method: 'client_secret_post', clientId: client_id, secret: client_secret }
}

/** The problem of a client that is unknown, or whose credentials are wrong: one answer, which does not say which. */
export function invalidClient(authorization: string | null): Problem {
  return new Problem('invalid_credentials', {
    message: 'The client is unknown, disabled, or its credentials are wrong',
    oauthError: 'invalid_client',
    // RFC 6749, 5.2: in the scheme that the client used.
    ...(authorization === null ? {} : { authenticate: 'Basic realm="ch202", charset="UTF-8"' }),
  })
}

/**
 * RFC 6749, 2.3.1: the id and the secret, each form-encoded, then by RFC 7617. Our own need no encoding.
 * @throws Problem for other credentials than those of Basic
 */
function basicCredentials(authorization: string): Extract<ClientCredentials, { secret: string }> {
  const [, encoded = ''] = BASIC.exec(authorization) ?? []
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1) throw invalidClient(authorization)
  const clientId = formDecoded(text.slice(0, colon))
  const secret = formDecoded(text.slice(colon + 1))
  if (clientId === undefined || secret === undefined) throw invalidClient(authorization)
  return { method: 'client_secret_basic', clientId, secret }
}

function formDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/** The client that an assertion names, which is verified later. */
function subjectOf(assertion: string): string {
  try {
    const { sub } = JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString('utf8'))
    return typeof sub === 'string' && isUuid(sub) ? sub : ''
  } catch {
    return ''
  }
}
