import { FormatRegistry } from '@sinclair/typebox'
import type { AnyElysia } from 'elysia'
import type { Access } from '../../access/access.ts'
import { ERRORS_MAX, errorOf, FIELD_CODES, tooShort } from '../../field-errors.ts'
import { LINES_TYPE } from '../../messages/ndjson.ts'
import { OAUTH_ERRORS, oauthBody } from '../../messages/oauth-error.ts'
import { invalid, invalidField, PROBLEM_CODES, Problem, type ProblemCode, statusOf } from '../../problem.ts'
import { sample } from './example.ts'

/** As much of OpenAPI 3.1 as is written here. */
export interface OpenApiDocument {
  openapi: string
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } }
  servers: { url: string }[]
  tags: { name: string; description: string }[]
  paths: Paths
  components: Record<string, Record<string, unknown>>
}

export type Paths = Record<string, Record<string, Operation>>

interface Media {
  schema: Json
  example?: unknown
  examples?: Record<string, { $ref: string } | { value: unknown }>
}

interface Parameter {
  name: string
  in: string
  required: boolean
  schema: Json
  example?: unknown
}

interface Operation {
  operationId: string
  tags: string[]
  summary: string
  description?: string
  security: Record<string, string[]>[]
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
  'x-access'?: Access
  'x-module'?: string
  'x-problems'?: ProblemCode[]
  /** Bodies are lines of JSON, each of the schema. */
  'x-lines'?: boolean
}

type Json = Record<string, unknown>

const TAGS: Record<string, string> = {
  auth: 'Registration, logins, tokens',
  sessions: 'Live sessions',
  users: 'User records',
  modules: 'The library of modules, and who has which enabled',
  discovery: 'What a client needs to know to check tokens',
  admin: 'For operators',
  webhooks: 'Who outside is told of what happens, and what reached them',
  internal: 'Between the services: with the internal key, never with a Bearer',
  health: 'Health and measures',
  v0: 'The contract of version 0.0.1, at the root alone',
}

/**
 * The paths of a service, from its own routes and schemas: with who may call, an example of each body and answer, and
 * every problem that it can answer with.
 * @param app the routes at the paths under which they are to be documented
 * @param forms paths that take a form as well
 */
export function pathsOf(app: AnyElysia, forms: readonly string[] = []): Paths {
  // Without the option whatever has a dot in its path, such as `/.well-known`, is taken for a file.
  const { paths } = generator().toOpenAPISchema(app, { staticFile: false }) as unknown as { paths: Paths }
  const documented: Paths = {}
  for (const [path, operations] of Object.entries(paths)) {
    documented[path] = {}
    for (const [method, operation] of Object.entries(operations))
      documented[path][method] = complete(plain(operation), path, method, forms.includes(path))
  }
  return documented
}

/**
 * Loaded when a document is asked for, because it takes a quarter of a start. It brings checks of its own for formats
 * that the framework has checked better: each of them makes a schema anew for each value (a UUID: 7 µs).
 */
function generator(): typeof import('@elysiajs/openapi') {
  const formats = [...FormatRegistry.Entries()]
  const loaded = require('@elysiajs/openapi') as typeof import('@elysiajs/openapi')
  for (const [name, check] of formats) FormatRegistry.Set(name, check)
  return loaded
}

export function openApiDocument(title: string, version: string, paths: Paths): OpenApiDocument {
  const used = new Set(
    Object.values(paths).flatMap((operations) => Object.values(operations).flatMap(({ tags }) => tags)),
  )
  return {
    openapi: '3.1.0',
    info: {
      title,
      version,
      description: 'Users, logins and feature modules. Every path under `/api/v1` is served at the root as well.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: Object.entries(TAGS)
      .filter(([name]) => used.has(name))
      .map(([name, description]) => ({ name, description })),
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => a.localeCompare(b))),
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'An access token' },
        operatorKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The operator key' },
        internalKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The internal key' },
        scraper: {
          type: 'http',
          scheme: 'bearer',
          description: 'The operator key as a Bearer, as Prometheus sends it',
        },
      },
      schemas: {
        FieldError: FIELD_ERROR,
        Problem: PROBLEM,
        ...(used.has('auth') ? { OAuthProblem: OAUTH_PROBLEM } : {}),
      },
      examples: Object.fromEntries(PROBLEM_CODES.map((code) => [code, { value: problemOf(code).body(EXAMPLE_ID) }])),
    },
  }
}

const ANSWERS: Record<string, string> = { 200: 'Done', 201: 'Made', 202: 'Taken on', 204: 'Done; there is no body' }

const CALLERS: Record<Access[number], string> = {
  anyone: 'anyone',
  user: 'users, with their access token',
  operator: 'operators, with the operator key or an access token with the role ADMIN',
  internal: 'the other services, with the internal key',
  scraper: 'Prometheus, with the operator key as a Bearer',
  holder: 'whoever sends a good refresh token, whatever access token stands beside it',
}

const PROBLEM: Json = {
  type: 'object',
  properties: {
    statusCode: { type: 'integer' },
    error: { type: 'string' },
    message: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
    code: { type: 'string', enum: PROBLEM_CODES },
    requestId: { type: 'string' },
    errors: {
      type: 'array',
      description: `What is wrong, field by field, at most ${ERRORS_MAX}; with validation_failed, weak_password, email_taken and username_taken`,
      items: { $ref: '#/components/schemas/FieldError' },
      maxItems: ERRORS_MAX,
    },
  },
  required: ['statusCode', 'error', 'message', 'code', 'requestId'],
  additionalProperties: false,
}

const FIELD_ERROR: Json = {
  type: 'object',
  properties: {
    field: { type: 'string', description: 'The path of the field: email, roles.0', examples: ['password'] },
    code: { type: 'string', enum: FIELD_CODES },
    message: { type: 'string', description: 'Stands behind the name of the field: must be a string' },
    limit: { type: 'integer', description: 'The bound that the value passes' },
  },
  required: ['field', 'code', 'message'],
  additionalProperties: false,
}

/** What the calls of OAuth answer with, for their clients and for ours (RFC 6749, 5.2). */
const OAUTH_PROBLEM: Json = {
  ...PROBLEM,
  properties: {
    ...(PROBLEM.properties as Json),
    error: { type: 'string', enum: OAUTH_ERRORS },
    error_description: { type: 'string' },
  },
  required: [...(PROBLEM.required as string[]), 'error_description'],
}

/** Functions and symbols of the schemas fall away, and a word of OpenAPI 3.0; what is left is JSON. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value, (name, part) => (name === 'nullable' ? undefined : part))) as T
}

/** What the gate of a module adds to a route that names one. */
const MODULE_PROBLEMS: ProblemCode[] = ['module_not_available', 'modules_unavailable']

function complete(operation: Operation, path: string, method: string, form: boolean): Operation {
  const {
    'x-access': access = ['anyone'],
    'x-lines': lines,
    'x-module': module,
    'x-problems': own = [],
    ...documented
  } = operation
  const problems = module === undefined ? own : [...own, ...MODULE_PROBLEMS]
  // A route that reads a token itself says so.
  documented.security ??= securityOf(access)
  documented.description ??= whoMay(access, module)
  documented.operationId = operationId(path, method)
  for (const parameter of documented.parameters ?? []) parameter.example = sample(parameter.schema, parameter.name)
  const { requestBody } = documented
  if (requestBody) {
    const [media] = Object.values(requestBody.content)
    if (media) {
      // Of lines there may be none.
      requestBody.required = !lines && demandsFields(media.schema)
      media.example = sample(media.schema)
      requestBody.content = { [lines ? LINES_TYPE : 'application/json']: media }
      if (form) requestBody.content['application/x-www-form-urlencoded'] = media
    }
  }
  for (const [status, response] of Object.entries(documented.responses)) {
    response.description = ANSWERS[status] ?? 'Done'
    // An answer without a body has no type that JSON Schema knows.
    const bodies = Object.values(response.content ?? {}).filter(({ schema }) => schema && schema.type !== 'void')
    if (bodies.length === 0) delete response.content
    for (const media of bodies) media.example = sample(media.schema)
    if (lines && bodies[0]) response.content = { [LINES_TYPE]: bodies[0] }
  }
  const has = { body: requestBody !== undefined, parameters: documented.parameters !== undefined }
  Object.assign(documented.responses, problemResponses(codesOf(access, problems, has), form))
  return documented
}

/** Where no field is required, the body may be missing. */
function demandsFields({ required, oneOf }: Json): boolean {
  return (Array.isArray(required) && required.length > 0) || oneOf !== undefined
}

function operationId(path: string, method: string): string {
  const words = path
    .replace(/^\/api\/v1/, '')
    .replace(/[{}]/g, '')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  // What stands at the root and under the prefix with different shapes has two names.
  return `${method}${path.startsWith('/api/v1') ? '' : 'Root'}${name}`
}

/** In words, because the ways of proving it do not say that a token has to be an operator's. */
function whoMay(access: Access, module: string | undefined): string {
  const needed = module === undefined ? '' : ` The module \`${module}\` must be on for the user.`
  return `For ${access.map((one) => CALLERS[one]).join('; or ')}.${needed}`
}

function securityOf(access: Access): Record<string, string[]>[] {
  const ways: Record<string, string[]>[] = []
  if (access.includes('anyone')) ways.push({})
  if (access.includes('user') || access.includes('operator')) ways.push({ bearer: [] })
  if (access.includes('operator')) ways.push({ operatorKey: [] })
  if (access.includes('internal')) ways.push({ internalKey: [] })
  if (access.includes('scraper')) ways.push({ scraper: [] })
  return ways
}

/** The codes that follow from who may call and what is sent, and the route's own. */
function codesOf(
  access: Access,
  own: readonly ProblemCode[],
  has: { body: boolean; parameters: boolean },
): ProblemCode[] {
  const codes = new Set<ProblemCode>(['internal_error', 'database_unavailable', ...own])
  const onlyAnyone = access.length === 1 && access[0] === 'anyone'
  // A token is judged wherever credentials are, also where none is of use.
  if (!onlyAnyone)
    for (const code of [
      'invalid_api_key',
      'forbidden',
      'invalid_token',
      'token_expired',
      'token_revoked',
      'auth_unavailable',
    ] as const)
      codes.add(code)
  if (access.includes('user') || access.includes('operator')) codes.add('missing_token')
  if (has.body || has.parameters) codes.add('validation_failed')
  if (has.body) codes.add('malformed_json').add('body_too_large').add('unsupported_media_type')
  return [...codes]
}

/** @param oauth whether they are answers of a call of OAuth */
function problemResponses(codes: readonly ProblemCode[], oauth: boolean): Operation['responses'] {
  const byStatus = Map.groupBy(codes, statusOf)
  const schema = { $ref: `#/components/schemas/${oauth ? 'OAuthProblem' : 'Problem'}` }
  const example = (code: ProblemCode) =>
    oauth ? { value: oauthBody(problemOf(code), EXAMPLE_ID) } : { $ref: `#/components/examples/${code}` }
  return Object.fromEntries(
    [...byStatus].map(([status, these]) => [
      String(status),
      {
        description: these.map((code) => `\`${code}\``).join(', '),
        content: {
          'application/json': {
            schema,
            examples: Object.fromEntries(these.map((code) => [code, example(code)])),
          },
        },
      },
    ]),
  )
}

const EXAMPLE_ID = '0198c7a2-0000-7000-8000-000000000000'

function problemOf(code: ProblemCode): Problem {
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
