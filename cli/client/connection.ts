import { direct } from '../../services/kit/outgoing.ts'
import { addressSetting, defaultAddress } from '../../services/kit/process/service-address.ts'
import { ofEachService, SERVICE_NAMES, SERVICES, type ServiceName } from '../../services/registry.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { type Context, currentContext, LOCAL, listContexts, readContext } from './contexts.ts'
import { noteOf } from './instance/note.ts'
import { dataDirOf, type Environment, knownEnvironment, valuesOf } from './settings.ts'

export const PLACES = SERVICE_NAMES
export type Place = ServiceName
export const ofEach = ofEachService

/** A value, and what it was that said so. */
export interface Told {
  value: string
  origin: string
}

export type Credential =
  | { kind: 'key' | 'token'; value: string; origin: string }
  | { kind: 'session'; context: Context; origin: string }

/** Whom the tool talks to, and as whom. */
export interface Connection {
  addresses: Record<Place, Told>
  /** Null: nothing to show was found, or nothing that this address may see. */
  credential: Credential | null
}

/** The settings that say where the services are. */
export const VARIABLES = ofEach(addressSetting)
const WINNING = [...Object.values(VARIABLES), 'CH202_URL', 'CH202_TOKEN', 'OPERATOR_API_KEY']
const PATIENCE = 5000

/**
 * Flag, then environment, then context, then the local instance: the addresses that the running services wrote down,
 * and the operator key of its `secrets.env`.
 * @throws Failure for an address that is none
 */
export async function connect(flag: string | undefined, env: Environment): Promise<Connection> {
  const addresses = flag === undefined ? fromEnvironment(env) : await fromFlag(flag, env)
  return { addresses, credential: credentialFor(addresses, env) }
}

function fromEnvironment(env: Environment): Record<Place, Told> {
  const told = (place: Place): Told => {
    const own = env[VARIABLES[place]]?.trim()
    if (own) return { value: addressIn(own), origin: VARIABLES[place] }
    const common = env.CH202_URL?.trim()
    if (common) return { value: addressIn(common), origin: 'CH202_URL' }
    const context = contextInUse(env)
    if (context) return { value: context[place], origin: `context ${context.name}` }
    const running = noteOf(place, dataDirOf(env))?.url
    if (running) return { value: running, origin: `${dataDirOf(env)}/run` }
    return { value: defaultAddress(SERVICES[place]), origin: 'default' }
  }
  return ofEach(told)
}

/** What is set that wins over a context: whoever has just chosen one wants to know. */
export function overriding(env: Environment): { overridden_by?: string[] } {
  const overridden_by = WINNING.filter((name) => env[name]?.trim())
  return overridden_by.length === 0 ? {} : { overridden_by }
}

/** @throws Failure where the one in use is gone: what was meant for elsewhere must not be done here */
function contextInUse(env: Environment): Context | undefined {
  const name = currentContext(env)
  const context = name === null ? undefined : readContext(env, name)
  if (name !== null && !context)
    throw new Failure(EXIT.notLoggedIn, `The context ${name} is in use, and is gone`, {
      code: 'not_logged_in',
      suggestion: `ch202 context use ${LOCAL}`,
    })
  return context
}

/** One address for all, or that of auth, which tells those of the others (RFC 8414). */
async function fromFlag(flag: string, env: Environment): Promise<Record<Place, Told>> {
  const all = await addressesAt(addressIn(flag))
  const known = contextAt(all, env)
  const origin = known ? `--url, context ${known.name}` : '--url'
  return ofEach((place) => ({ value: all[place], origin }))
}

/** The context that was opened at exactly these addresses; of several the one in use. */
export function contextAt(addresses: Record<Place, string>, env: Environment): Context | undefined {
  const there = listContexts(env).filter((context) => PLACES.every((place) => context[place] === addresses[place]))
  const current = currentContext(env)
  return there.find(({ name }) => name === current) ?? there[0]
}

/**
 * The addresses of the services, of which one is known. Where auth knows itself by that address, it knows the
 * others too; behind a proxy it does not, and there the one address serves all.
 */
export async function addressesAt(url: string): Promise<Record<Place, string>> {
  const all = ofEach(() => url)
  try {
    const answer = await direct(`${url}/.well-known/oauth-authorization-server`, {
      signal: AbortSignal.timeout(PATIENCE),
      redirect: 'manual',
    })
    const { ch202 } = (await answer.json()) as { ch202?: Partial<Record<Place, string>> }
    if (!ch202?.auth || !samePlace(ch202.auth, url)) return all
    const told = ch202
    // One that is not there yet has no address of its own.
    return ofEach((place) => (place === 'auth' ? url : addressIn(told[place] ?? url)))
  } catch {
    // Who answers there, if anyone does, is told by the first real request.
    return all
  }
}

/** @throws Failure for what is no http address */
export function addressIn(text: string): string {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash)
    throw usage('An address is such as http://127.0.0.1:3000 or https://id.example.org')
  return url.href.replace(/\/+$/, '')
}

/**
 * What the environment gives is shown to whom it says. A session goes back to where it was opened; the key in
 * `secrets.env` opens everything, so it never leaves this machine.
 */
function credentialFor(addresses: Record<Place, Told>, env: Environment): Credential | null {
  const token = env.CH202_TOKEN?.trim()
  if (token) return { kind: 'token', value: token, origin: 'CH202_TOKEN' }
  const [given] = valuesOf(env, 'OPERATOR_API_KEY')
  if (given) return { kind: 'key', value: given, origin: 'OPERATOR_API_KEY' }
  const at = (place: Place) => addresses[place].value
  const context = contextAt(ofEach(at), env)
  const session = context && { kind: 'session' as const, context, origin: `context ${context.name}` }
  if (session && PLACES.every((place) => addresses[place].origin.includes('context '))) return session
  const dataDir = dataDirOf(env)
  const local = PLACES.every((place) => isLocal(at(place)) || at(place) === noteOf(place, dataDir)?.url)
  const [kept] = local ? valuesOf(knownEnvironment(env), 'OPERATOR_API_KEY') : []
  return kept ? { kind: 'key', value: kept, origin: `${dataDir}/secrets.env` } : (session ?? null)
}

const LOOPBACK = /^(localhost|\[::1?\]|0\.0\.0\.0|127(\.\d{1,3}){3})$/

/** Whether an address can only be of this machine. */
export function isLocal(address: string): boolean {
  return LOOPBACK.test(new URL(address).hostname)
}

function samePlace(one: string, other: string): boolean {
  if (one === other) return true
  const [a, b] = [URL.parse(one), new URL(other)]
  return a !== null && a.port === b.port && a.protocol === b.protocol && isLocal(one) && isLocal(other)
}

/** @throws Failure that says how to get a credential */
export function noCredential({ addresses }: Connection, env: Environment): Failure {
  const { value } = addresses.users
  const local = isLocal(value)
  return new Failure(
    EXIT.notLoggedIn,
    local
      ? `No operator key: neither OPERATOR_API_KEY nor ${dataDirOf(env)}/secrets.env`
      : `Not logged in at ${value}: neither CH202_TOKEN, OPERATOR_API_KEY nor a context of it`,
    { code: 'not_logged_in', suggestion: local ? 'ch202 start' : `ch202 login ${value}` },
  )
}
