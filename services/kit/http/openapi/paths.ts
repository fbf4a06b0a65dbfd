import { FormatRegistry } from '@sinclair/typebox'
import type { AnyElysia } from 'elysia'
import { LINES_TYPE } from '../../messages/ndjson.ts'
import type { ProblemCode } from '../../problem.ts'
import { describeCallers, securityOf } from './callers.ts'
import { exampleOf } from './example.ts'
import { codesOf, problemResponses } from './problems.ts'
import type { JsonSchema, Media, Operation, Parameter, Paths } from './types.ts'

/**
 * Documents the operations of a service, from its routes and schemas: who may call each, an example of each body and
 * answer, and every error.
 * @param app the routes, at their documented paths
 * @param forms the paths that accept a form as well as JSON
 */
export function pathsOf(app: AnyElysia, forms: readonly string[] = []): Paths {
  // Without the option every path with a dot, such as `/.well-known`, counts as a file.
  const { paths } = generator().toOpenAPISchema(app, { staticFile: false }) as unknown as { paths: Paths }
  const documented: Paths = {}
  for (const [path, operations] of Object.entries(paths)) {
    documented[path] = {}
    for (const [method, operation] of Object.entries(operations))
      documented[path][method] = completeOperation(plainJson(operation), {
        path,
        method,
        acceptsForm: forms.includes(path),
      })
  }
  return documented
}

/**
 * Loads the generator on first use: it takes a quarter of a start. The generator registers format checks of its own,
 * which compile a schema for each value (a UUID: 7 µs), so the framework's faster ones are restored.
 */
function generator(): typeof import('@elysiajs/openapi') {
  const formats = [...FormatRegistry.Entries()]
  const loaded = require('@elysiajs/openapi') as typeof import('@elysiajs/openapi')
  for (const [name, check] of formats) FormatRegistry.Set(name, check)
  return loaded
}

/** Drops the functions and symbols of TypeBox schemas, and `nullable`, which OpenAPI 3.1 does not have. */
function plainJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value, (name, part) => (name === 'nullable' ? undefined : part))) as T
}

/** The errors that the gate of a module adds to a route. */
const MODULE_PROBLEMS: ProblemCode[] = ['module_not_available', 'modules_unavailable']

interface Place {
  path: string
  method: string
  acceptsForm: boolean
}

function completeOperation(generated: Operation, { path, method, acceptsForm }: Place): Operation {
  const {
    'x-access': access = ['anyone'],
    'x-lines': lines = false,
    'x-module': module,
    'x-problems': routeProblems = [],
    ...operation
  } = generated
  const problems = module === undefined ? routeProblems : [...routeProblems, ...MODULE_PROBLEMS]
  // A route that reads a token by itself declares its own security.
  operation.security ??= securityOf(access)
  operation.description = [operation.description, describeCallers(access, module)].filter(Boolean).join(' ')
  operation.operationId = operationId(path, method)
  for (const parameter of operation.parameters ?? []) completeParameter(parameter)
  completeRequest(operation, { lines, acceptsForm })
  completeResponses(operation, lines)
  const takes = { body: operation.requestBody !== undefined, parameters: operation.parameters !== undefined }
  const shape = acceptsForm ? 'OAuthProblem' : 'Problem'
  Object.assign(operation.responses, problemResponses(codesOf(access, problems, takes), shape))
  return operation
}

/** Moves the description from the schema to the parameter, where OpenAPI has it. */
function completeParameter(parameter: Parameter): void {
  const { description, ...schema } = parameter.schema
  if (typeof description === 'string') parameter.description = description
  parameter.example = exampleOf(schema)
  parameter.schema = schema
}

function completeRequest({ requestBody }: Operation, { lines, acceptsForm }: { lines: boolean; acceptsForm: boolean }) {
  const [media] = Object.values(requestBody?.content ?? {})
  if (!requestBody || !media) return
  // A body of lines may have no line.
  requestBody.required = !lines && demandsFields(media.schema)
  media.example = exampleOf(media.schema)
  requestBody.content = { [lines ? LINES_TYPE : 'application/json']: media }
  if (acceptsForm) requestBody.content['application/x-www-form-urlencoded'] = media
}

const SUCCESSES: Record<string, string> = { 200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No content' }

function completeResponses({ responses }: Operation, lines: boolean): void {
  for (const [status, response] of Object.entries(responses)) {
    response.description = SUCCESSES[status] ?? 'OK'
    const bodies = Object.values(response.content ?? {}).filter(hasBody)
    if (bodies.length === 0) delete response.content
    for (const media of bodies) media.example = exampleOf(media.schema)
    if (lines && bodies[0]) response.content = { [LINES_TYPE]: bodies[0] }
  }
}

/** Whether an answer has a body. `void` is a type of TypeBox, not of JSON Schema. */
function hasBody({ schema }: Media): boolean {
  return schema !== undefined && schema.type !== 'void'
}

/** Whether a body is required: if no field is, the body may be missing. */
function demandsFields({ required, oneOf }: JsonSchema): boolean {
  return (Array.isArray(required) && required.length > 0) || oneOf !== undefined
}

function operationId(path: string, method: string): string {
  const words = path
    .replace(/^\/api\/v1/, '')
    .replace(/[{}]/g, '')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  // A path at the root and under the prefix can have two shapes, and needs two ids.
  return `${method}${path.startsWith('/api/v1') ? '' : 'Root'}${name}`
}
