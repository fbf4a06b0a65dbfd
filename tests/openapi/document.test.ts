import { beforeAll, describe, expect, test } from 'bun:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { version } from '../../package.json'
import { documentation } from '../../services/documentation.ts'
import { isProblemCode, statusOf } from '../../services/kit/problem.ts'
import { OPEN_CALL } from '../support/expectations.ts'
import { call } from '../support/http.ts'
import { servedRoutes } from '../support/routes.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { launch } from '../support/tool.ts'
import { codesOf, type OpenApiDocument, operationsOf, schemaChecker } from './document.ts'
import { CONTRACT, DOUBLED, type Who } from './operations.ts'
import { textFaults } from './texts.ts'
import { LINES } from './validator.ts'

const document = await documentation(version)
const operations = operationsOf(document)
const check = schemaChecker(document)
const PROBLEM = { $ref: '#/components/schemas/Problem' }

/** Yields a value and all its parts. */
function* parts(value: unknown): Generator<unknown> {
  yield value
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) yield* parts(part)
}

describe('the document of all services', () => {
  test('has exactly the operations of the contract', () => {
    expect(operations.map((operation) => operation.call).sort()).toEqual(CONTRACT.map((row) => row.call).sort())
  })

  test('leaves out the aliases, which the services serve', async () => {
    const served = new Set((await servedRoutes()).map(({ method, path }) => `${method} ${path}`))
    for (const alias of DOUBLED) expect(served).toContain(alias)
    const documented = new Set(operations.map((operation) => operation.call.replace(/\{(\w+)\}/g, ':$1')))
    const undocumented = [...served].filter(
      (route) => route.includes(' /api/v1/') && !route.includes(' /api/v1/swagger') && !documented.has(route),
    )
    expect(undocumented).toEqual(['POST /api/v1/user/register'])
  })

  test('names each operation once', () => {
    const ids = operations.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]*$/)
  })

  test('describes every tag that it uses, and shows it in one group', () => {
    const used = new Set(operations.flatMap(({ operation }) => operation.tags))
    expect(document.tags.map(({ name }) => name).sort()).toEqual([...used].sort())
    for (const { description } of document.tags) expect(description).not.toBeEmpty()
    expect(document['x-tagGroups'].flatMap(({ tags }) => tags).sort()).toEqual([...used].sort())
  })

  test('has a summary for every operation, and a description for every operation, parameter and property', () => {
    expect(textFaults(document)).toEqual([])
  })

  test('reports missing and unsuitable texts', () => {
    const schema = {
      type: 'object',
      properties: { items: { description: 'The items', type: 'array', items: { properties: { id: {} } } } },
    }
    const operation = { tags: ['auth'], description: 'For anyone.', security: [], responses: {} }
    const faulty = {
      ...document,
      paths: {
        '/a': {
          get: { ...operation, operationId: 'a', summary: 'Who the access token is of' },
          post: { ...operation, operationId: 'b', summary: '' },
        },
        '/b': {
          get: { ...operation, operationId: 'c', summary: `Get ${'a very '.repeat(9)}long summary` },
          put: {
            ...operation,
            operationId: 'd',
            summary: 'Update b',
            description: '',
            parameters: [{ name: 'id', in: 'path', required: true, schema }],
            responses: { 200: { description: 'OK', content: { 'application/json': { schema } } } },
          },
          patch: { ...operation, operationId: 'e', summary: 'Update b' },
        },
      },
      components: { ...document.components, schemas: {} },
    }
    expect(textFaults(faulty)).toEqual([
      'GET /a: the summary does not begin with an imperative: Who the access token is of',
      'POST /a has no summary',
      'GET /b: the summary has more than 60 characters',
      'PUT /b has no description',
      'PUT /b: the parameter id has no description',
      'PUT /b: id.items.id has no description',
      'PUT /b: 200.items.id has no description',
      'PATCH /b: another operation has the same summary',
    ])
  })
})

const SCHEMES: Record<Who, string[]> = {
  anyone: [''],
  bearer: ['bearer'],
  app: ['bearer'],
  client: ['bearer'],
  secret: ['clientSecret'],
  user: ['bearer'],
  operator: ['bearer', 'operatorKey'],
  internal: ['internalKey'],
  scraper: ['metricsKey', 'scraper'],
}

type Audience = 'applications' | 'operators' | 'services'

function audienceOf(tag: string): Audience {
  if (tag === 'internal') return 'services'
  return tag.startsWith('admin') ? 'operators' : 'applications'
}

function audienceFor(who: readonly Who[]): Audience {
  const others = who.filter((caller) => caller !== 'client' && caller !== 'secret')
  if (others.every((caller) => caller === 'internal')) return 'services'
  return others.every((caller) => caller === 'internal' || caller === 'operator') ? 'operators' : 'applications'
}

describe.each(CONTRACT)('$call', ({ call: name, who, answer, codes }) => {
  const { operation } = operations.find((documented) => documented.call === name) ?? {}
  if (!operation) return

  test('is in the group of its callers', () => {
    expect(operation.tags).toHaveLength(1)
    expect(audienceOf(operation.tags[0] ?? '')).toBe(audienceFor(who))
  })

  test('lists the credentials that it accepts', () => {
    const ways = operation.security.map((way) => Object.keys(way).join())
    expect(ways.sort()).toEqual([...new Set(who.flatMap((one) => SCHEMES[one]))].sort())
    for (const way of ways.filter(Boolean)) expect(document.components.securitySchemes).toHaveProperty([way])
  })

  test('has an example of its answer', () => {
    const { content } = operation.responses[answer] ?? {}
    const successes = Object.keys(operation.responses).filter((status) => Number(status) < 400)
    expect(successes).toEqual([String(answer)])
    // A 204 has no body, nor has the 202 of a notice.
    if (!content) return expect([202, 204]).toContain(answer)
    for (const { schema, example } of Object.values(content)) {
      expect(check(schema, example)).toBeUndefined()
      expect([...parts(example)]).not.toContain('text')
    }
    return undefined
  })

  test('lists every error by its code', () => {
    const listed = codesOf(operation)
    for (const [status, these] of listed) {
      expect(these).not.toBeEmpty()
      for (const code of these) {
        expect(isProblemCode(code)).toBeTrue()
        expect(statusOf(code)).toBe(status)
        const { value } = (document.components.examples?.[code] ?? {}) as { value?: unknown }
        expect(value).toMatchObject({ code, statusCode: status })
        expect(check(PROBLEM, value)).toBeUndefined()
      }
    }
    expect([...listed.values()].flat()).toEqual(expect.arrayContaining(['internal_error', ...codes]))
  })
})

describe('a request', () => {
  let schemas: Map<string, TSchema>
  beforeAll(async () => {
    schemas = new Map(
      (await servedRoutes())
        .filter(({ body }) => body)
        .map(({ method, path, body }) => [`${method} ${path.replace(/:(\w+)/g, '{$1}')}`, body as TSchema]),
    )
  })
  const lines = operations.filter(({ operation }) => operation.requestBody?.content[LINES])
  const withBody = operations.filter((one) => one.operation.requestBody && !lines.includes(one))

  test('has a body in the document if the route takes one', () => {
    const documented = new Set(operations.map((operation) => operation.call))
    const taking = [...schemas.keys()].filter((name) => documented.has(name))
    expect(withBody.map((operation) => operation.call).sort()).toEqual(taking.sort())
  })

  test.each(withBody)('$call: the route accepts the example', ({ call: name, operation }) => {
    const isOpen = OPEN_CALL.test(name.replace('POST ', ''))
    const content = operation.requestBody?.content ?? {}
    expect(Object.keys(content)).toContain('application/json')
    for (const { schema, example } of Object.values(content)) {
      const routeSchema = schemas.get(name) as TSchema
      expect([...Value.Errors(routeSchema, example)].map(({ path, message }) => `${path} ${message}`)).toEqual([])
      expect(check(schema, example)).toBeUndefined()
      expect([...parts(example)]).not.toContain('text')
      // The route and the document agree on unknown fields: refused, except where RFC 6749 has them ignored.
      expect(Value.Check(routeSchema, { ...(example as object), nickname: 'x' })).toBe(isOpen)
      expect(check(schema, { ...(example as object), nickname: 'x' }) === undefined).toBe(isOpen)
    }
  })

  test('is lines of JSON for the import only, and the example is a valid line', () => {
    expect(lines.map((operation) => operation.call)).toEqual(['POST /api/v1/users/import'])
    for (const { operation } of lines) {
      const { [LINES]: media, ...others } = operation.requestBody?.content ?? {}
      expect(others).toEqual({})
      expect(check(media?.schema ?? {}, media?.example)).toBeUndefined()
      expect(check(media?.schema ?? {}, { ...(media?.example as object), nickname: 'x' })).toBeDefined()
    }
  })

  test.each([
    ['POST /api/v1/auth/login', { email: 'a@example.org', username: 'ana', password: 'x' }],
    ['POST /api/v1/auth/login', { password: 'x' }],
    ['POST /auth/login', { login: 'ana', username: 'ana', password: 'x' }],
    ['POST /auth/refresh', { refreshToken: 'x', refresh_token: 'x' }],
    ['POST /auth/refresh', {}],
    ['POST /api/v1/auth/register', { email: 'a@example.org' }],
    ['POST /api/v1/users', { email: 'a@example.org', password: 'x', password_hash: 'x' }],
    ['POST /api/v1/users/{user_id}/password', {}],
    ['POST /api/v1/users/{user_id}/password', { new_password: 'x', password_hash: 'x' }],
  ])('%s: %j is invalid by the document too', (name, body) => {
    const { operation } = operations.find((documented) => documented.call === name) ?? {}
    const media = operation?.requestBody?.content['application/json']
    expect(operation?.requestBody?.required).toBeTrue()
    expect(check(media?.schema ?? {}, body)).toBeDefined()
  })

  test.each(['PATCH /api/v1/users/{user_id}', 'POST /api/v1/auth/logout', 'POST /api/v1/modules/{module_id}/enable'])(
    '%s: the body may be left out',
    (name) => {
      const { operation } = operations.find((documented) => documented.call === name) ?? {}
      expect(operation?.requestBody?.required).toBeFalse()
    },
  )

  test('a form is taken where RFC 6749, RFC 7009 and RFC 7662 ask for it, and nowhere else', () => {
    const forms = withBody.filter(({ operation }) =>
      Object.hasOwn(operation.requestBody?.content ?? {}, 'application/x-www-form-urlencoded'),
    )
    expect(forms.map((operation) => operation.call)).toEqual([
      'POST /api/v1/auth/introspect',
      'POST /api/v1/auth/revoke',
      'POST /api/v1/oauth/token',
    ])
  })

  test('names and explains its parameters', () => {
    for (const { call: name, operation } of operations) {
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
      const parameters = operation.parameters ?? []
      expect(parameters.filter((parameter) => parameter.in === 'path').map((one) => one.name)).toEqual(
        inPath as string[],
      )
      for (const { schema, example } of parameters) {
        expect(check(schema, example)).toBeUndefined()
        expect(example).not.toBe('text')
      }
    }
  })
})

describe('the documents that the services serve', () => {
  const here = running(inProcess)
  const read = async (base: string, path = '/swagger/json') => {
    const answer = await call(base, `GET ${path}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toStartWith('application/json')
    return answer.body as OpenApiDocument
  }

  test('are valid OpenAPI 3.1', async () => {
    for (const base of new Set(Object.values(here.system.url))) {
      const validator = new Validator()
      const result = await validator.validate({ ...(await read(base)) })
      expect(result.errors ?? []).toEqual([])
      expect(result.valid).toBeTrue()
      expect(validator.version).toBe('3.1')
    }
  })

  test('are together the document of all services', async () => {
    const served = await Promise.all(Object.values(here.system.url).map((base) => read(base)))
    const calls = new Set(served.flatMap((one) => operationsOf(one)).map((operation) => operation.call))
    expect([...calls].sort()).toEqual(operations.map((operation) => operation.call).sort())
    for (const one of served)
      for (const [path, described] of Object.entries(one.paths)) expect(described).toEqual(document.paths[path] ?? {})
    expect(served[0]).toEqual(plain(document))
  })

  test('are the same under the prefix', async () => {
    for (const base of new Set(Object.values(here.system.url)))
      expect(await read(base, '/api/v1/swagger/json')).toEqual(await read(base))
  })
})

function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

describe('ch202 openapi', () => {
  const shell = (command: string) =>
    launch(['bash', '-o', 'pipefail', '-c', command], { env: { BUN: process.execPath } }).ended

  test('writes the complete document', async () => {
    const { status, stderr, stdout } = await shell('"$BUN" cli/main.ts openapi')
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    expect(JSON.parse(stdout)).toEqual(plain(document))
    expect((await new Validator().validate(JSON.parse(stdout))).valid).toBeTrue()
  })

  test('writes the complete document into a slow pipe', async () => {
    const { status, stdout } = await shell('"$BUN" cli/main.ts openapi | (sleep 0.2; cat)')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual(plain(document))
  })

  test('exits with 0 when its reader closes the pipe', async () => {
    const { status, stderr, stdout } = await shell('"$BUN" cli/main.ts openapi | head -c 100')
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    expect(stdout).toHaveLength(100)
  })
})
