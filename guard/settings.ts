import { SECOND } from '../services/kit/clock.ts'
import { directly } from './direct.ts'
import type { GuardOptions, Log, Rule, Who } from './types.ts'

const MAX_LAG = 30 * SECOND
const WHO: readonly string[] = ['anyone', 'user', 'operator', 'internal'] satisfies Who[]

export interface Settings {
  url: string
  modulesUrl: string | undefined
  internalKeys: readonly [string, ...string[]]
  operatorKeys: readonly string[]
  name: string
  maxLag: number
  trustedProxies: readonly string[]
  fetch: (request: Request) => Promise<Response>
  log: Log
}

/** @throws TypeError that names the option; it never holds a key */
export function settingsOf(options: GuardOptions): Settings {
  const { fetch: given, log = onStandardError, maxLag = MAX_LAG, name = 'guard', trustedProxies = [] } = options
  const [first, ...rest] = keysOf('internalKey', options.internalKey)
  if (first === undefined) throw new TypeError('internalKey must be the internal key of the instance')
  const operatorKeys = options.operatorKey === undefined ? [] : keysOf('operatorKey', options.operatorKey)
  if (operatorKeys.some((key) => key === first || rest.includes(key)))
    throw new TypeError('operatorKey and internalKey must be two different keys')
  if (!Number.isFinite(maxLag) || maxLag < SECOND) throw new TypeError(`maxLag must be at least ${SECOND} milliseconds`)
  if (!/^[\w.-]{1,40}$/.test(name)) throw new TypeError('name must be 1 to 40 letters, digits, ".", "_" or "-"')
  return {
    url: addressOf('url', options.url),
    modulesUrl: options.modulesUrl === undefined ? undefined : addressOf('modulesUrl', options.modulesUrl),
    internalKeys: [first, ...rest],
    operatorKeys,
    name,
    maxLag,
    trustedProxies,
    fetch: given ?? directly,
    log,
  }
}

/** @throws TypeError when a rule says what no rule can: it would be a route that no one may call, or everyone */
export function accessOf({ auth, module }: Rule): readonly Who[] {
  const access = typeof auth === 'string' ? [auth] : auth
  if (!Array.isArray(access) || access.length === 0 || !access.every((who) => WHO.includes(who)))
    throw new TypeError(`auth must be one or several of ${WHO.join(', ')}`)
  if (module !== undefined && !(typeof module === 'string' && /^[a-z0-9][a-z0-9-]{0,62}$/.test(module)))
    throw new TypeError('module must be the id of a module')
  if (module !== undefined && access.includes('anyone'))
    throw new TypeError('module asks for a user, and auth lets anyone in')
  return access
}

function keysOf(option: string, given: string | readonly string[]): readonly string[] {
  const keys = typeof given === 'string' ? [given] : [...(given ?? [])]
  // A header holds nothing else, and an error about it would quote the key.
  if (!keys.every((key) => typeof key === 'string' && /^[\x21-\x7e]+$/.test(key)))
    throw new TypeError(`${option} must be a key, or a list of keys`)
  return keys
}

function addressOf(option: string, given: string): string {
  const parsed = URL.canParse(given) ? new URL(given) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password)
    throw new TypeError(`${option} must be an address such as http://127.0.0.1:3001`)
  return given.replace(/\/+$/, '')
}

const onStandardError: Log = {
  info: () => undefined,
  warn: (line) => console.error(JSON.stringify(line)),
}
