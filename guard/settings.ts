import { SECOND } from '../services/kit/clock.ts'
import { callInstance } from './direct.ts'
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

/** Validates the options. @throws TypeError that names the option and never contains a key */
export function settingsOf(options: GuardOptions): Settings {
  const {
    fetch = callInstance,
    log = standardErrorLog,
    maxLag = MAX_LAG,
    name = 'guard',
    trustedProxies = [],
  } = options
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
    fetch,
    log,
  }
}

/** The callers that a rule allows. @throws TypeError for an invalid rule: it would allow nobody, or everybody */
export function accessOf({ auth, maxAge, module }: Rule): readonly Who[] {
  const access = typeof auth === 'string' ? [auth] : auth
  if (!Array.isArray(access) || access.length === 0 || !access.every((who) => WHO.includes(who)))
    throw new TypeError(`auth must be one or several of ${WHO.join(', ')}`)
  if (module !== undefined && !(typeof module === 'string' && /^[a-z0-9][a-z0-9-]{0,62}$/.test(module)))
    throw new TypeError('module must be the id of a module')
  if (module !== undefined && access.includes('anyone'))
    throw new TypeError('module needs a user, and auth allows anyone')
  if (maxAge !== undefined && !(Number.isFinite(maxAge) && maxAge > 0))
    throw new TypeError('maxAge must be a number of seconds')
  if (maxAge !== undefined && access.includes('anyone'))
    throw new TypeError('maxAge needs a user, and auth allows anyone')
  return access
}

function keysOf(option: string, value: string | readonly string[]): readonly string[] {
  const keys = typeof value === 'string' ? [value] : [...(value ?? [])]
  // A header cannot hold other characters, and the error about that would quote the key.
  if (!keys.every((key) => typeof key === 'string' && /^[\x21-\x7e]+$/.test(key)))
    throw new TypeError(`${option} must be a key, or a list of keys`)
  return keys
}

function addressOf(option: string, value: string): string {
  const parsed = URL.canParse(value) ? new URL(value) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password)
    throw new TypeError(`${option} must be an address such as http://127.0.0.1:3001`)
  return value.replace(/\/+$/, '')
}

const standardErrorLog: Log = {
  info: () => undefined,
  warn: (line) => console.error(JSON.stringify(line)),
}
