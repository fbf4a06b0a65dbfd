import type { Option } from 'commander'
import { direct } from '../../../services/kit/outgoing.ts'
import { emailKey } from '../../../services/kit/schema/email.ts'
import { EVENT_TYPES } from '../../../services/kit/schema/events.ts'
import { SERVICE_NAMES, type ServiceName } from '../../../services/registry.ts'
import { connect } from '../../client/connection.ts'
import { LOCAL, listContexts } from '../../client/contexts.ts'
import { searchFor } from '../../client/search.ts'
import { isFresh } from '../../client/session.ts'
import { dataDirOf, type Environment } from '../../client/settings.ts'

export interface Candidate {
  value: string
  description?: string
}

/** The shell offers files. */
export const FILES = Symbol('files')

/** What is known when values are wanted. */
export interface Wanted {
  /** As much of the value as stands there. */
  word: string
  /** The options before it, by their names. */
  options: ReadonlyMap<string, string>
  env: Environment
  signal: AbortSignal
}

export type Source = (wanted: Wanted) => Promise<Candidate[]> | Candidate[]

const MOST = 20
/** The most that the API gives at once: it finds the word anywhere, the shell wants it at the beginning. */
const PAGE_MAX = 200
const FILE = /^[<[](file|dir|path)/

const OPTIONS: Record<string, Source> = {
  '--only': () => words(...SERVICE_NAMES),
  '--requires': modules,
  '--role': () => words('USER', 'ADMIN'),
  '--service': () => words(...SERVICE_NAMES),
  '--types': () => words(...EVENT_TYPES),
  '--user': users,
  '--webhook': webhooks,
}

/** By the command and the name of its argument, or by the name alone. */
const ARGUMENTS: Record<string, Source> = {
  'api method': () => words('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
  'audit explain subject': users,
  'context remove name': contexts,
  'context use name': (wanted) => [...words(LOCAL), ...contexts(wanted)],
  'logout context': contexts,
  'modules create id': () => [],
  'modules delete id': modules,
  'modules disable id': modules,
  'modules enable id': modules,
  'modules get id': modules,
  'modules update id': modules,
  'modules users id': modules,
  'new service name': () => [],
  'sessions revoke id': sessions,
  backup: backups,
  kid: keys,
  module: modules,
  ref: users,
  service: () => words(...SERVICE_NAMES),
  services: () => words(...SERVICE_NAMES),
  webhook: webhooks,
}

export function sourceOfOption({ flags, long }: Option): Source | Candidate[] | typeof FILES {
  const placeholder = flags.split(/[ ,]+/).at(-1) ?? ''
  if (long === '--user' && placeholder !== '<ref>') return []
  return OPTIONS[long ?? ''] ?? (FILE.test(placeholder) ? FILES : [])
}

/** @param path of the command, such as `users get` */
export function sourceOfArgument(path: string, name: string): Source | Candidate[] | typeof FILES {
  return ARGUMENTS[`${path} ${name}`] ?? ARGUMENTS[name] ?? (FILE.test(`<${name}`) ? FILES : [])
}

function words(...values: string[]): Candidate[] {
  return values.map((value) => ({ value }))
}

function contexts({ env }: Wanted): Candidate[] {
  return listContexts(env).map(({ auth, email, name }) => ({ value: name, description: `${email} at ${auth}` }))
}

async function users(wanted: Wanted): Promise<Candidate[]> {
  const { word } = wanted
  const search = word === '' ? '' : `search=${encodeURIComponent(searchFor(word))}&`
  const items = await itemsOf(wanted, 'users', `/users?${search}sort=email&size=${word === '' ? MOST : PAGE_MAX}`)
  const named = items.flatMap(({ email, name, username }): Candidate[] => {
    const value = [email, username].find((one) => one?.startsWith(word))
    // One that begins with a dash would be taken for an option.
    if (!value || value.startsWith('-')) return []
    return [{ value, description: name ?? (value === email ? username : email) ?? '' }]
  })
  return named.slice(0, MOST)
}

async function modules(wanted: Wanted): Promise<Candidate[]> {
  const items = await itemsOf(wanted, 'modules', '/modules/')
  return items.map(({ id = '', name }) => ({ value: id, description: name ?? '' }))
}

/** Of the user that `--user` names, or of everyone. */
async function sessions(wanted: Wanted): Promise<Candidate[]> {
  const ref = wanted.options.get('user')
  const user = ref?.includes('@')
    ? (
        await itemsOf(wanted, 'users', `/users?search=${encodeURIComponent(searchFor(emailKey(ref)))}&size=${MOST}`)
      ).find(({ email }) => email && emailKey(email) === emailKey(ref))?.id
    : ref
  const whose = user === undefined ? 'all=true' : `user_id=${encodeURIComponent(user)}`
  const items = await itemsOf(wanted, 'auth', `/auth/sessions?${whose}&size=${MOST}`)
  return items.map(({ id = '', last_used_at, user_agent }) => ({
    value: id,
    description: `${last_used_at} ${user_agent ?? ''}`,
  }))
}

async function keys(wanted: Wanted): Promise<Candidate[]> {
  const items = await itemsOf(wanted, 'auth', '/admin/keys')
  return items.map(({ kid = '', status }) => ({ value: kid, description: status ?? '' }))
}

async function webhooks(wanted: Wanted): Promise<Candidate[]> {
  const items = await itemsOf(wanted, 'auth', '/admin/webhooks')
  return items.map(({ id = '', url }) => ({ value: id, description: url ?? '' }))
}

async function backups({ env }: Wanted): Promise<Candidate[]> {
  const [{ backupsOf }, { listBackups }] = await Promise.all([
    import('../../../db/sqlite/backup/create.ts'),
    import('../../../db/sqlite/backup/manifest.ts'),
  ])
  const { backups: all } = listBackups(backupsOf(dataDirOf(env)))
  return [{ value: 'latest' }, ...all.slice(0, MOST).map(({ name }) => ({ value: name }))]
}

type Item = { [name in 'id' | 'kid' | 'email' | 'username' | 'name' | 'status']?: string | null } & {
  id?: string
  kid?: string
  last_used_at?: string
  url?: string
  user_agent?: string | null
}

/**
 * With the credential as it is: to renew it here, and be ended in the middle, would lose a session.
 * @throws what fetch throws
 */
async function itemsOf({ env, options, signal }: Wanted, place: ServiceName, path: string): Promise<Item[]> {
  const { addresses, credential } = await connect(options.get('url'), env)
  if (credential === null || (credential.kind === 'session' && !isFresh(credential.context))) return []
  const token = credential.kind === 'session' ? credential.context.access_token : credential.value
  const headers: Record<string, string> =
    credential.kind === 'key' ? { 'x-api-key': token } : { authorization: `Bearer ${token}` }
  const answer = await direct(`${addresses[place].value}/api/v1${path}`, { headers, signal, redirect: 'manual' })
  return answer.ok ? ((await answer.json()) as { items: Item[] }).items : []
}
