import type { Access } from '../../access/access.ts'
import { userScopesIn } from '../../access/scopes.ts'
import { ERRORS_MAX, errorOf, FIELD_CODES, tooShort } from '../../field-errors.ts'
import { oauthBody } from '../../messages/oauth-error.ts'
import {
  invalid,
  invalidField,
  OAUTH_ERRORS,
  PROBLEM_CODES,
  Problem,
  type ProblemCode,
  statusOf,
} from '../../problem.ts'
import type { JsonSchema, Operation } from './types.ts'

const EXAMPLE_REQUEST_ID = '0198c7a2-0000-7000-8000-000000000000'

/** The body of every error (`ProblemBody`). */
export const PROBLEM = {
  type: 'object',
  description: 'An error',
  properties: {
    statusCode: { type: 'integer', description: 'The HTTP status' },
    error: { type: 'string', description: 'The name of the HTTP status' },
    message: {
      anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
      description: 'What went wrong, in a sentence; with validation_failed a list of sentences',
    },
    code: { type: 'string', enum: PROBLEM_CODES, description: 'What went wrong, as a code that does not change' },
    requestId: { type: 'string', description: 'The id of the request, as in the header `x-request-id` and the logs' },
    errors: {
      type: 'array',
      description: `The invalid fields, at most ${ERRORS_MAX}; with validation_failed, weak_password, email_taken and username_taken`,
      items: { $ref: '#/components/schemas/FieldError' },
      maxItems: ERRORS_MAX,
    },
    challenge_id: { type: 'string', description: 'The id of the challenge to answer, with codes that ask for one' },
    expires_in: { type: 'integer', description: 'Seconds until that challenge expires' },
  },
  required: ['statusCode', 'error', 'message', 'code', 'requestId'],
  additionalProperties: false,
}

export const FIELD_ERROR: JsonSchema = {
  type: 'object',
  description: 'An invalid field',
  properties: {
    field: {
      type: 'string',
      description: 'The path of the field, such as `email` or `roles.0`',
      examples: ['password'],
    },
    code: { type: 'string', enum: FIELD_CODES, description: 'What is wrong with it, as a code that does not change' },
    message: {
      type: 'string',
      description: 'What is wrong with it, to follow the name of the field: `must be a string`',
    },
    limit: { type: 'integer', description: 'The limit that the value exceeds or falls short of' },
  },
  required: ['field', 'code', 'message'],
  additionalProperties: false,
}

/** The body of an error of an OAuth endpoint, for OAuth clients and for ours (RFC 6749, 5.2). */
export const OAUTH_PROBLEM: JsonSchema = {
  ...PROBLEM,
  description: 'An error of an OAuth endpoint',
  properties: {
    ...PROBLEM.properties,
    error: { type: 'string', enum: OAUTH_ERRORS, description: 'The OAuth error code (RFC 6749, 5.2)' },
    error_description: { type: 'string', description: 'The message, in ASCII' },
  },
  required: [...PROBLEM.required, 'error_description'],
}

/** An example of each error, by its code. */
export function problemExamples(): Record<string, unknown> {
  return Object.fromEntries(
    PROBLEM_CODES.map((code) => [code, { value: exampleProblem(code).body(EXAMPLE_REQUEST_ID) }]),
  )
}

/** Codes of every operation that reads credentials: a token is checked even if the operation needs none. */
const CREDENTIAL_CODES: ProblemCode[] = [
  'invalid_api_key',
  'forbidden',
  'insufficient_scope',
  'invalid_token',
  'token_expired',
  'token_revoked',
  'auth_unavailable',
]

/**
 * The codes that an operation answers with.
 * @param routeCodes the codes that the route names
 * @param takes whether it takes a body, and whether it takes parameters
 */
export function codesOf(
  access: Access,
  routeCodes: readonly ProblemCode[],
  takes: { body: boolean; parameters: boolean },
): ProblemCode[] {
  const codes = new Set<ProblemCode>(['internal_error', 'database_unavailable', ...routeCodes])
  const isPublic = access.length === 1 && access[0] === 'anyone'
  if (!isPublic) for (const code of CREDENTIAL_CODES) codes.add(code)
  const takesToken = access.includes('user') || access.includes('operator') || userScopesIn(access).length > 0
  if (takesToken) codes.add('missing_token')
  if (takes.body || takes.parameters) codes.add('validation_failed')
  if (takes.body) codes.add('malformed_json').add('body_too_large').add('unsupported_media_type')
  return [...codes]
}

/**
 * The error responses of an operation, one for each status.
 * @param shape the body: ours, or that of an OAuth endpoint
 */
export function problemResponses(
  codes: readonly ProblemCode[],
  shape: 'Problem' | 'OAuthProblem',
): Operation['responses'] {
  const schema = { $ref: `#/components/schemas/${shape}` }
  const example = (code: ProblemCode) =>
    shape === 'OAuthProblem'
      ? { value: oauthBody(exampleProblem(code), EXAMPLE_REQUEST_ID) }
      : { $ref: `#/components/examples/${code}` }
  const byStatus = Map.groupBy(codes, statusOf)
  return Object.fromEntries(
    [...byStatus].map(([status, ofStatus]) => [
      String(status),
      {
        description: `${reasonOf(ofStatus)}: ${ofStatus.map((code) => `\`${code}\``).join(', ')}`,
        content: {
          'application/json': { schema, examples: Object.fromEntries(ofStatus.map((code) => [code, example(code)])) },
        },
      },
    ]),
  )
}

/** The name of the HTTP status that the codes share. */
function reasonOf([code = 'internal_error']: readonly ProblemCode[]): string {
  return new Problem(code).body('').error
}

function exampleProblem(code: ProblemCode): Problem {
  if (code === 'validation_failed')
    return invalid([
      errorOf('email', { code: 'format', message: 'must be an email' }),
      errorOf('password', tooShort(8)),
    ])
  if (code === 'weak_password')
    return invalidField('password', {
      code: 'weak',
      message: 'is too easy to guess: it is one of the most used passwords',
    })
  return new Problem(code)
}
