import { SERVICE_NAMES, type ServiceName } from '../../services/kit/services.ts'
import type { Api } from '../client/api.ts'
import { serviceForPath } from '../client/routing.ts'
import { usage } from '../exit.ts'
import { note, plain, put, write } from '../terminal/terminal.ts'
import { collect, command, type Tool, withTool } from '../tool/command.ts'

interface Options {
  data?: string
  header?: string[]
  include?: boolean
  service?: string
}

/** Bun sends any other as a GET: what is misspelt would be done as something else. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const HEADER = /^([\w-]+):\s*(.*)$/

export function apiCommand() {
  return command('api', 'Make any call of the API, with the credential of the tool', [
    "ch202 api GET '/users?size=1'",
    `ch202 api POST /auth/password-reset-request --data '{ "email": "ana@example.org" }'`,
  ])
    .argument('<method>', 'GET, POST, PUT, PATCH or DELETE')
    .argument('<path>', 'with /api/v1 or without')
    .option('-d, --data <json>', 'the body; @file reads a file, - standard input')
    .option('-H, --header <line>', 'a header, `name: value`; may be given again', collect)
    .option('-i, --include', 'show the status and the headers of the answer on standard error')
    .option('--service <name>', `the service to ask: ${SERVICE_NAMES.join(', ')} (default: whose path it is)`)
    .action(withTool(call))
}

async function call(tool: Tool, options: Options, method: string, path: string): Promise<void> {
  if (!METHODS.includes(method.toUpperCase())) throw usage(`A method is one of ${METHODS.join(', ')}`)
  const place = placeOf(path, options.service)
  const body = await bodyOf(options.data)
  const headers = headersOf(options.header, body !== undefined)
  const [api, { credential }] = [await tool.api(), await tool.connection()]
  const init = { method: method.toUpperCase(), headers, ...(body === undefined ? {} : { body }) }
  const answer = await api.fetch(place, pathOf(path), { ...init, anyone: credential === null })
  if (options.include) tellHead(answer)
  await tellBody(api, place, answer)
}

/** @throws Failure where no service has such a path */
function placeOf(path: string, service: string | undefined): ServiceName {
  const place = service === undefined ? serviceForPath(path) : SERVICE_NAMES.find((name) => name === service)
  if (place) return place
  throw service === undefined
    ? usage(`There is no path ${path}`, 'ch202 openapi')
    : usage(`There is no service ${service}: there are ${SERVICE_NAMES.join(', ')}`)
}

/** As it was given: the six paths of v0 are others at the root than under the prefix. */
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

function tellHead({ headers, status, statusText }: Response): void {
  note(plain(`${status} ${statusText}`.trim()))
  for (const [name, value] of headers) note(plain(`${name}: ${value}`))
}

/** A terminal gets JSON indented and made harmless; a pipe gets the bytes as they come, however many. */
async function tellBody(api: Api, place: ServiceName, answer: Response): Promise<void> {
  if (answer.status >= 400) await api.refuseProblem(place, answer)
  if (!answer.body) return
  if (process.stdout.isTTY) return write(forPeople(await answer.text()))
  for await (const chunk of answer.body) await put(chunk)
}

function forPeople(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2).split('\n').map(plain).join('\n')
  } catch {
    // Lines of JSON, the text of the metrics, a page.
    return text.trimEnd().split('\n').map(plain).join('\n')
  }
}
