import { callDirectly } from '../../services/kit/outgoing.ts'
import { addressSetting, defaultAddress } from '../../services/kit/process/service-address.ts'
import { ofEachService, SERVICE_NAMES, SERVICES, type ServiceName } from '../../services/registry.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { quoted } from '../terminal/shell.ts'
import { type Context, currentContext, LOCAL, listContexts, readContext } from './contexts.ts'
import { readRunFile } from './instance/run-file.ts'
import { dataDirOf, type Environment, valuesOf, withStoredSecrets } from './settings.ts'

/** The address of a service, and where it comes from. */
export interface ServiceAddress {
  value: string
  origin: string
}

export type Credential =
  | { kind: 'key' | 'token'; value: string; origin: string }
  | { kind: 'session'; context: Context; origin: string }

/** The services' addresses and the credential for them. */
export interface Connection {
  addresses: Record<ServiceName, ServiceAddress>
  /** Null if there is no credential for these addresses. */
  credential: Credential | null
}

/** The settings for the services' addresses. */
export const VARIABLES = ofEachService(addressSetting)
const OVERRIDING = [...Object.values(VARIABLES), 'CH202_URL', 'CH202_TOKEN', 'OPERATOR_API_KEY']
/** Milliseconds to wait for the metadata of auth. */
const TIMEOUT = 5000

/**
 * Finds the addresses and the credential: the `--url` flag first, then the environment, then the context, then the local
 * instance (the addresses in `run/` and the operator key in `secrets.env`).
 * @throws Failure if an address is not valid
 */
export async function connect(flag: string | undefined, env: Environment): Promise<Connection> {
  const addresses = flag === undefined ? addressesFromEnvironment(env) : await addressesFromFlag(flag, env)
  return { addresses, credential: credentialFor(addresses, env) }
}

function addressesFromEnvironment(env: Environment): Record<ServiceName, ServiceAddress> {
  const addressOf = (service: ServiceName): ServiceAddress => {
    const specific = env[VARIABLES[service]]?.trim()
    if (specific) return { value: addressIn(specific), origin: VARIABLES[service] }
    const shared = env.CH202_URL?.trim()
    if (shared) return { value: addressIn(shared), origin: 'CH202_URL' }
    const context = contextInUse(env)
    if (context) return { value: context[service], origin: `context ${context.name}` }
    const localAddress = readRunFile(service, dataDirOf(env))?.url
    if (localAddress) return { value: localAddress, origin: `${dataDirOf(env)}/run` }
    return { value: defaultAddress(SERVICES[service]), origin: 'default' }
  }
  return ofEachService(addressOf)
}

/** The settings that override a context, to warn a user who has just chosen one. */
export function overriddenBy(env: Environment): { overridden_by?: string[] } {
  const overridden_by = OVERRIDING.filter((name) => env[name]?.trim())
  return overridden_by.length === 0 ? {} : { overridden_by }
}

/** @throws Failure if the current context no longer exists: its commands must not run against another instance */
function contextInUse(env: Environment): Context | undefined {
  const name = currentContext(env)
  const context = name === null ? undefined : readContext(env, name)
  if (name !== null && !context)
    throw new Failure(EXIT.notLoggedIn, `The current context ${name} no longer exists`, {
      code: 'not_logged_in',
      suggestion: `ch202 context use ${LOCAL}`,
    })
  return context
}

/** Resolves one address for all services, or the address of auth, whose metadata names the others (RFC 8414). */
async function addressesFromFlag(flag: string, env: Environment): Promise<Record<ServiceName, ServiceAddress>> {
  const all = await addressesAt(addressIn(flag))
  const context = contextAt(all, env)
  const origin = context ? `--url, context ${context.name}` : '--url'
  return ofEachService((service) => ({ value: all[service], origin }))
}

/** The context with exactly these addresses; the current one if there are several. */
export function contextAt(addresses: Record<ServiceName, string>, env: Environment): Context | undefined {
  const matches = listContexts(env).filter((context) =>
    SERVICE_NAMES.every((service) => context[service] === addresses[service]),
  )
  const current = currentContext(env)
  return matches.find(({ name }) => name === current) ?? matches[0]
}

/**
 * Finds the addresses of all services from one address. If auth knows itself by that address, its metadata names the
 * others; behind a proxy auth has another address, and the given one serves all.
 */
export async function addressesAt(url: string): Promise<Record<ServiceName, string>> {
  const all = ofEachService(() => url)
  try {
    const answer = await callDirectly(`${url}/.well-known/oauth-authorization-server`, {
      signal: AbortSignal.timeout(TIMEOUT),
      redirect: 'manual',
    })
    const { ch202 } = (await answer.json()) as { ch202?: Partial<Record<ServiceName, string>> }
    if (!ch202?.auth || !isSameServer(ch202.auth, url)) return all
    const advertised = ch202
    // A service that is not running yet has no address.
    return ofEachService((service) => (service === 'auth' ? url : addressIn(advertised[service] ?? url)))
  } catch {
    // The first real request reports an unreachable or unknown server.
    return all
  }
}

/** Parses an http address. @throws Failure if it is not one */
export function addressIn(text: string): string {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash)
    throw usage('The address is not valid: use a form such as http://127.0.0.1:3000 or https://id.example.org')
  return url.href.replace(/\/+$/, '')
}

/**
 * Chooses the credential. A token or key in the environment goes to any address. A session only goes to the addresses it
 * was opened at. The key in `secrets.env` grants everything, so it never leaves this machine.
 */
function credentialFor(addresses: Record<ServiceName, ServiceAddress>, env: Environment): Credential | null {
  const token = env.CH202_TOKEN?.trim()
  if (token) return { kind: 'token', value: token, origin: 'CH202_TOKEN' }
  const [operatorKey] = valuesOf(env, 'OPERATOR_API_KEY')
  if (operatorKey) return { kind: 'key', value: operatorKey, origin: 'OPERATOR_API_KEY' }
  const at = (service: ServiceName) => addresses[service].value
  const context = contextAt(ofEachService(at), env)
  const session = context && { kind: 'session' as const, context, origin: `context ${context.name}` }
  if (session && SERVICE_NAMES.every((service) => addresses[service].origin.includes('context '))) return session
  const dataDir = dataDirOf(env)
  const local = SERVICE_NAMES.every(
    (service) => isLocal(at(service)) || at(service) === readRunFile(service, dataDir)?.url,
  )
  const [storedKey] = local ? valuesOf(withStoredSecrets(env), 'OPERATOR_API_KEY') : []
  return storedKey ? { kind: 'key', value: storedKey, origin: `${dataDir}/secrets.env` } : (session ?? null)
}

const LOOPBACK = /^(localhost|\[::1?\]|0\.0\.0\.0|127(\.\d{1,3}){3})$/

/** Whether an address can only belong to this machine. */
export function isLocal(address: string): boolean {
  return LOOPBACK.test(new URL(address).hostname)
}

function isSameServer(one: string, other: string): boolean {
  if (one === other) return true
  const [a, b] = [URL.parse(one), new URL(other)]
  return a !== null && a.port === b.port && a.protocol === b.protocol && isLocal(one) && isLocal(other)
}

/** The failure that explains how to get a credential. */
export function noCredential({ addresses }: Connection, env: Environment): Failure {
  const { value } = addresses.users
  const local = isLocal(value)
  return new Failure(
    EXIT.notLoggedIn,
    local
      ? `No operator key: OPERATOR_API_KEY is not set, and there is no ${dataDirOf(env)}/secrets.env`
      : `Not logged in at ${value}: there is no CH202_TOKEN, OPERATOR_API_KEY or context for it`,
    { code: 'not_logged_in', suggestion: local ? 'ch202 start' : `ch202 login ${quoted(value)}` },
  )
}
