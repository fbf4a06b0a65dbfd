import { version } from '../../../package.json'
import { documentation } from '../../../services/documentation.ts'
import { settingDefaults } from '../../../services/kit/process/config.ts'
import { ofEachService, SERVICES, type ServiceName } from '../../../services/registry.ts'
import { VARIABLES } from '../../client/connection.ts'
import type { Environment } from '../../client/settings.ts'
import { usage } from '../../exit.ts'
import { type Published, publishedPaths } from './published.ts'

export interface Site {
  /** The name it is published under: `id.example.org`, or an address such as `http://127.0.0.1:8080`. */
  domain: string
  upstreams: Record<ServiceName, string>
  /** Whether operators come in from outside too. */
  admin: boolean
}

/** Where Caddy finds the services: all of them at the one address of a process that serves the three, or each at its own. */
export function upstreamsOf(one: string | undefined, env: Environment): Site['upstreams'] {
  const defaults = settingDefaults(env, SERVICES)
  const set = (name: string) => env[name]?.trim() || defaults.get(name) || ''
  return ofEachService((name) => (one ?? set(VARIABLES[name])).replace(/\/+$/, ''))
}

const SITE = /^(https?:\/\/)?([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:\d{1,5})?$/i
const ADDRESS = /^https?:\/\/([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:\d{1,5})?$/i

/**
 * A Caddyfile that publishes what is public of the three services on one origin, and nothing else.
 * @throws Failure where the name or an address is one that would not be a word of the file
 */
export async function caddyfile({ admin, domain, upstreams }: Site): Promise<string> {
  if (!SITE.test(domain)) throw usage('--domain must be a name such as id.example.org, without a path')
  for (const [name, address] of Object.entries(upstreams))
    if (!ADDRESS.test(address)) throw usage(`The address of ${name} must be one such as http://127.0.0.1:3000`)
  const published = publishedPaths(await documentation(version), admin)
  const names = [...new Set(published.map(({ upstream }) => upstream))]
  const site = [
    ...allowList(published),
    '',
    ...headers(domain),
    ...(admin
      ? []
      : ['# Keys are for the machine itself: from outside none is looked at.', 'request_header -X-API-Key', '']),
    ...bodyLimit(admin),
    '',
    ...names.flatMap((name) => upstream(name, upstreams[name])),
    ...refusal(),
    ...errors(),
  ]
  return `${[...introduction(admin), `${domain} {`, ...site.map(indented), '}'].join('\n')}\n`
}

function indented(line: string): string {
  return line === '' ? '' : `\t${line}`
}

function introduction(admin: boolean): string[] {
  const callers = admin ? 'everyone, users and operators' : 'everyone and users'
  return [
    `# Ch202 ${version}: what is for ${callers}, on one origin, at the root and under /api/v1.`,
    '# Made by `ch202 package caddy` from the OpenAPI document: make it anew after an update.',
    '#',
    '# Caddy says whom a request comes from in X-Forwarded-For. The services believe it where TRUSTED_PROXIES names the',
    '# address that Caddy has for them: TRUSTED_PROXIES=127.0.0.1,::1 where it runs on the same machine. Without that all',
    '# clients count as one, and share one limit of failed logins.',
  ]
}

/** By the bytes of the request line, which are what the service gets: Caddy's own path matchers tidy what they look at. */
function allowList(published: readonly Published[]): string[] {
  return [
    '# What is not in this list is answered here, and reaches no service.',
    'map {http.request.method}:{http.request.uri} {ch202} {',
    ...published.map((entry) => `\t~^(${methods(entry)}):${entry.path}/?(\\?|$) ${entry.upstream}`),
    '\tdefault none',
    '}',
  ]
}

/** HEAD is a GET without its body; OPTIONS is how a browser asks before it calls from another origin. */
function methods(entry: Published): string {
  return [...entry.methods, ...(entry.methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join('|')
}

function headers(domain: string): string[] {
  return [
    'header {',
    '\t-Server',
    ...(domain.startsWith('http://') ? [] : ['\tStrict-Transport-Security "max-age=31536000; includeSubDomains"']),
    '}',
  ]
}

/** Above those of the services, which say in the contract's words what is too large. */
function bodyLimit(admin: boolean): string[] {
  const limit = (matcher: string, size: string) => [`request_body ${matcher} {`, `\tmax_size ${size}`, '}']
  if (!admin) return limit('*', '128KiB')
  return [
    '@import vars_regexp {http.request.uri} ^(/api/v1)?/users/import/?(\\?|$)',
    ...limit('@import', '2MiB'),
    '@other not vars_regexp {http.request.uri} ^(/api/v1)?/users/import/?(\\?|$)',
    ...limit('@other', '128KiB'),
  ]
}

function upstream(name: ServiceName, address: string): string[] {
  return [
    `@${name} vars {ch202} ${name}`,
    `handle @${name} {`,
    `\treverse_proxy ${address} {`,
    '\t\t# A restart takes a moment: what has not been sent waits for it.',
    '\t\tlb_try_duration 3s',
    '\t\tlb_try_interval 100ms',
    '\t\ttransport http {',
    '\t\t\t# The services close an idle connection after 30 s: one that is about to be closed must not be used again.',
    '\t\t\tkeepalive 20s',
    '\t\t}',
    '\t}',
    '}',
  ]
}

const PROBLEM_HEADERS = [
  'header {',
  '\tContent-Type application/json',
  '\tCache-Control no-store',
  '\tX-Content-Type-Options nosniff',
  '\tReferrer-Policy no-referrer',
  '\tX-Request-Id {http.request.uuid}',
]

function problem(status: string, error: string, message: string, code: string): string {
  const fields = `"error":"${error}","message":"${message}","code":"${code}","requestId":"{http.request.uuid}"`
  return `respond \`{"statusCode":${status},${fields}}\` ${status}`
}

function refusal(): string[] {
  return [
    'handle {',
    ...[...PROBLEM_HEADERS, '}', problem('404', 'Not Found', 'Not found', 'not_found')].map(indented),
    '}',
  ]
}

function errors(): string[] {
  const unavailable = problem('503', 'Service Unavailable', 'The service does not answer', 'overloaded')
  const tooLarge = problem('413', 'Payload Too Large', 'The body is too large', 'body_too_large')
  return [
    'handle_errors {',
    // A body that grows too large while it is passed on is an error of the connection to some versions.
    `\t@large expression \`{http.error.status_code} == 413 || {http.error.message}.contains("body too large")\``,
    '\thandle @large {',
    ...[...PROBLEM_HEADERS, '}', tooLarge].map(indented).map(indented),
    '\t}',
    '\thandle {',
    ...[...PROBLEM_HEADERS, '\tRetry-After 1', '}', unavailable].map(indented).map(indented),
    '\t}',
    '}',
  ]
}
