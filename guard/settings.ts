import { SECOND } from '../services/kit/clock.ts'
import { type ClientKey, clientKeyOf } from './client-assertion.ts'
import { callInstance } from './direct.ts'
import type { GuardClient, GuardOptions, Log, RuleOptions, SecretClient, Who } from './types.ts'

const MAX_LAG = 30 * SECOND
/** The characters of a scope (RFC 6749, 3.3). */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/
const WHO: readonly string[] = ['anyone', 'user', 'operator', 'internal'] satisfies Who[]

type Mfa = Exclude<GuardOptions['mfa'], undefined>
const MFA: readonly Mfa[] = ['optional', 'admins', 'all']

/** How the client of a guard proves who it is. */
export type Client = SecretClient | (ClientKey & { secret?: undefined })

export interface Settings {
  url: string
  modulesUrl: string | undefined
  /** Undefined: the guard has the internal key. */
  client: Client | undefined
  /** None for a guard with a client. */
  internalKeys: readonly string[]
  resource: string | undefined
  operatorKeys: readonly string[]
  mfa: Mfa
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
    mfa = 'optional',
    name = 'guard',
    trustedProxies = [],
  } = options
  const { client, internalKeys } = credentialsOf(options)
  const operatorKeys = options.operatorKey === undefined ? [] : keysOf('operatorKey', options.operatorKey)
  if (operatorKeys.some((key) => internalKeys.includes(key)))
    throw new TypeError('operatorKey and internalKey must be two different keys')
  if (!Number.isFinite(maxLag) || maxLag < SECOND) throw new TypeError(`maxLag must be at least ${SECOND} milliseconds`)
  if (!/^[\w.-]{1,40}$/.test(name)) throw new TypeError('name must be 1 to 40 letters, digits, ".", "_" or "-"')
  if (!MFA.includes(mfa)) throw new TypeError(`mfa must be one of ${MFA.join(', ')}`)
  return {
    url: addressOf('url', options.url),
    modulesUrl: options.modulesUrl === undefined ? undefined : addressOf('modulesUrl', options.modulesUrl),
    client,
    internalKeys,
    resource: options.resource === undefined ? undefined : resourceOf(options.resource),
    operatorKeys,
    mfa,
    name,
    maxLag,
    trustedProxies,
    fetch,
    log,
  }
}

/** The tokens that clients and apps need: a scope that the rule names, the app's too, or that of any app where users are let in. */
function accessByScope(access: readonly Who[], scope: string | undefined): readonly string[] {
  if (scope !== undefined) return [`scope:${scope}`, `app:${scope}`]
  return access.includes('user') ? ['app'] : []
}

/** The callers that a rule allows. @throws TypeError for an invalid rule: it would allow nobody, or everybody */
export function accessOf({ auth, maxAge, module, scope }: RuleOptions): readonly string[] {
  const access: readonly Who[] = typeof auth === 'string' ? [auth] : (auth ?? [])
  const isNothing = scope === undefined ? access.length === 0 : auth !== undefined && access.length === 0
  if (!Array.isArray(access) || isNothing || !access.every((who) => WHO.includes(who)))
    throw new TypeError(`auth must be one or several of ${WHO.join(', ')}`)
  if (scope !== undefined && !(typeof scope === 'string' && SCOPE.test(scope)))
    throw new TypeError('scope must be a scope such as orders:read')
  if (module !== undefined && !(typeof module === 'string' && /^[a-z0-9][a-z0-9-]{0,62}$/.test(module)))
    throw new TypeError('module must be the id of a module')
  if (module !== undefined && access.includes('anyone'))
    throw new TypeError('module needs a user, and auth allows anyone')
  if ((module ?? maxAge) !== undefined && access.length === 0)
    throw new TypeError(
      "auth is missing: module and maxAge need a user, so name auth beside scope, such as auth: 'user'",
    )
  if (maxAge !== undefined && !(Number.isFinite(maxAge) && maxAge > 0))
    throw new TypeError('maxAge must be a number of seconds')
  if (maxAge !== undefined && access.includes('anyone'))
    throw new TypeError('maxAge needs a user, and auth allows anyone')
  return [...access, ...accessByScope(access, scope)]
}

/** @throws TypeError unless there is exactly one of the two */
function credentialsOf({ client, internalKey }: GuardOptions): Pick<Settings, 'client' | 'internalKeys'> {
  if (client !== undefined && internalKey !== undefined)
    throw new TypeError('client and internalKey exclude each other: the client is enough')
  if (client !== undefined) return { client: clientOf(client), internalKeys: [] }
  const internalKeys = keysOf('internalKey', internalKey ?? [])
  if (internalKeys.length === 0)
    throw new TypeError('client must be the client of this service, or internalKey the internal key of the instance')
  return { client: undefined, internalKeys }
}

/** @throws TypeError that never contains the secret or the key */
function clientOf(client: GuardClient): Client {
  const { id, privateKey, secret } = client
  if (typeof id !== 'string' || !/^[\x21-\x7e]{1,100}$/.test(id))
    throw new TypeError('client.id must be the id of the client')
  if ((secret === undefined) === (privateKey === undefined))
    throw new TypeError('client must have either secret or privateKey')
  if (privateKey !== undefined) return clientKeyOf(client)
  if (typeof secret !== 'string' || !/^[\x21-\x7e]{1,500}$/.test(secret))
    throw new TypeError('client.secret must be the secret of the client')
  return { id, secret }
}

/** RFC 8707, 2: an absolute address without a fragment. */
function resourceOf(resource: string): string {
  if (typeof resource !== 'string' || !URL.canParse(resource) || resource.includes('#'))
    throw new TypeError('resource must be an address such as https://orders.example.org')
  return resource
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
