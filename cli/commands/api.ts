import { SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import type { Api } from '../client/api.ts'
import { serviceForPath } from '../client/routing.ts'
import { usage } from '../exit.ts'
import { note, plain, put, write } from '../terminal/terminal.ts'
import { collect, command, type Tool, withTool } from '../tool/command.ts'

interface ApiOptions {
  data?: string
  header?: string[]
  include?: boolean
  service?: string
}

/** The accepted methods. Bun sends any other, such as a misspelled one, as GET. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const HEADER = /^([\w-]+):\s*(.*)$/

export function apiCommand() {
  return command('api', 'Send any request to the API with the tool’s credential', [
    "ch202 api GET '/users?size=1'",
    `ch202 api POST /auth/password-reset-request --data '{ "email": "ana@example.org" }'`,
  ])
    .argument('<method>', 'GET, POST, PUT, PATCH or DELETE')
    .argument('<path>', 'with or without /api/v1')
    .option('-d, --data <json>', 'the body; @file reads a file, - reads standard input')
    .option('-H, --header <line>', 'a header, `name: value`; can be repeated', collect)
    .option('-i, --include', 'print the response’s status and headers on standard error')
    .option('--service <name>', `the service to ask: ${SERVICE_NAMES.join(', ')} (default: by the path)`)
    .action(withTool(call))
}

async function call(tool: Tool, options: ApiOptions, method: string, path: string): Promise<void> {
  if (!METHODS.includes(method.toUpperCase())) throw usage(`The method must be one of ${METHODS.join(', ')}`)
  const service = serviceOf(path, options.service)
  const body = await bodyOf(options.data)
  const headers = headersOf(options.header, body !== undefined)
  const [api, { credential }] = [await tool.api(), await tool.connection()]
  const init = { method: method.toUpperCase(), headers, ...(body === undefined ? {} : { body }) }
  const answer = await api.fetch(service, pathOf(path), { ...init, anonymous: credential === null })
  if (options.include) printHead(answer)
  await printBody(api, service, answer)
}

/** @throws Failure if no service has such a path */
function serviceOf(path: string, option: string | undefined): ServiceName {
  const service = option === undefined ? serviceForPath(path) : SERVICE_NAMES.find((name) => name === option)
  if (service) return service
  throw option === undefined
    ? usage(`No service has the path ${path}`, 'ch202 openapi')
    : usage(`There is no service ${option}: the services are ${SERVICE_NAMES.join(', ')}`)
}

/** Adds only the leading slash, no prefix: some paths of v0 answer differently at the root than under `/api/v1`. */
function pathOf(path: string): string {
  return path.startsWith('/') ? path : `/${path}`
}

async function bodyOf(data: string | undefined): Promise<Uint8Array<ArrayBuffer> | string | undefined> {
  if (data === '-') return await Bun.stdin.bytes()
  if (!data?.startsWith('@')) return data
  const file = Bun.file(data.slice(1))
  if (!(await file.exists())) throw usage(`There is no file ${data.slice(1)}`)
  return await file.bytes()
}

function headersOf(lines: readonly string[] = [], hasBody: boolean): Headers {
  const headers = new Headers(hasBody ? { 'content-type': 'application/json' } : {})
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? []
    if (name === undefined || value === undefined) throw usage(`A header is a line such as 'x-request-id: 1'`)
    headers.set(name, value)
  }
  return headers
}

function printHead({ headers, status, statusText }: Response): void {
  note(plain(`${status} ${statusText}`.trim()))
  for (const [name, value] of headers) note(plain(`${name}: ${value}`))
}

/** Prints indented JSON without control characters on a terminal, and the exact bytes to a pipe. */
async function printBody(api: Api, service: ServiceName, answer: Response): Promise<void> {
  if (answer.status >= 400) await api.refuseProblem(service, answer)
  if (!answer.body) return
  if (process.stdout.isTTY) return write(formatted(await answer.text()))
  for await (const chunk of answer.body) await put(chunk)
}

function formatted(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2).split('\n').map(plain).join('\n')
  } catch {
    // Not one JSON value: NDJSON, metrics or HTML.
    return text.trimEnd().split('\n').map(plain).join('\n')
  }
}
