import type { Option } from 'commander'
import { SCOPES, USER_SCOPES } from '../../../services/kit/access/scopes.ts'
import { callDirectly } from '../../../services/kit/outgoing.ts'
import { emailKey } from '../../../services/kit/schema/email.ts'
import { EVENT_TYPES } from '../../../services/kit/schema/events.ts'
import { SERVICE_NAMES, type ServiceName } from '../../../services/registry.ts'
import { connect } from '../../client/connection.ts'
import { LOCAL, listContexts } from '../../client/contexts.ts'
import { searchFor } from '../../client/search.ts'
import { isFresh } from '../../client/session.ts'
import { dataDirOf, type Environment } from '../../client/settings.ts'

/** A value that the shell offers, with its description. */
export interface Candidate {
  value: string
  description?: string
}

/** Tells the shell to offer files. */
export const FILES = Symbol('files')

/** The state of the command line for a source of values. */
export interface CompletionInput {
  /** The typed part of the value. */
  word: string
  /** The options before the value, by name. */
  options: ReadonlyMap<string, string>
  env: Environment
  signal: AbortSignal
}

/** Gives the values for an option or an argument. */
export type Source = (input: CompletionInput) => Promise<Candidate[]> | Candidate[]

const CANDIDATES_MAX = 20
/** Page size of the API. The API finds the text anywhere in a name, but only names that start with it are offered. */
const PAGE_MAX = 200
const FILE = /^[<[](file|dir|path)/

const OPTIONS: Record<string, Source> = {
  '--only': () => words(...SERVICE_NAMES),
  '--requires': modules,
  '--role': () => words('USER', 'ADMIN'),
  '--scope': scopes,
  '--service': () => words(...SERVICE_NAMES),
  '--types': () => words(...EVENT_TYPES),
  '--user': users,
  '--webhook': webhooks,
}

/** Sources by command and argument name, or by argument name. */
const ARGUMENTS: Record<string, Source> = {
  'api method': () => words('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
  'audit explain subject': users,
  'clients create name': () => [],
  'context remove name': contexts,
  'context use name': (input) => [...words(LOCAL), ...contexts(input)],
  'logout context': contexts,
  'mail retry id': mails,
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
  client: clients,
  kid: keys,
  module: modules,
  ref: users,
  service: () => words(...SERVICE_NAMES),
  services: () => words(...SERVICE_NAMES),
  webhook: webhooks,
}

/** The values for an option: those that the instance has, files, or none. */
export function sourceOfOption({ flags, long }: Option): Source | Candidate[] | typeof FILES {
  const placeholder = flags.split(/[ ,]+/).at(-1) ?? ''
  if (long === '--user' && placeholder !== '<ref>') return []
  return OPTIONS[long ?? ''] ?? (FILE.test(placeholder) ? FILES : [])
}

/** As `sourceOfOption`, for an argument. @param path the command, such as `users get` */
export function sourceOfArgument(path: string, name: string): Source | Candidate[] | typeof FILES {
  return ARGUMENTS[`${path} ${name}`] ?? ARGUMENTS[name] ?? (FILE.test(`<${name}`) ? FILES : [])
}

function words(...values: string[]): Candidate[] {
  return values.map((value) => ({ value }))
}

function contexts({ env }: CompletionInput): Candidate[] {
  return listContexts(env).map(({ auth, email, name }) => ({ value: name, description: `${email} at ${auth}` }))
}

async function users(input: CompletionInput): Promise<Candidate[]> {
  const { word } = input
  const search = word === '' ? '' : `search=${encodeURIComponent(searchFor(word))}&`
  const items = await itemsOf(
    input,
    'users',
    `/users?${search}sort=email&size=${word === '' ? CANDIDATES_MAX : PAGE_MAX}`,
  )
  const matches = items.flatMap(({ email, name, username }): Candidate[] => {
    const value = [email, username].find((login) => login?.startsWith(word))
    // A value that starts with a dash would be parsed as an option.
    if (!value || value.startsWith('-')) return []
    return [{ value, description: name ?? (value === email ? username : email) ?? '' }]
  })
  return matches.slice(0, CANDIDATES_MAX)
}

async function modules(input: CompletionInput): Promise<Candidate[]> {
  const items = await itemsOf(input, 'modules', '/modules/')
  return items.map(({ id = '', name }) => ({ value: id, description: name ?? '' }))
}

/** Sessions of the user in `--user`, or of all users. */
async function sessions(input: CompletionInput): Promise<Candidate[]> {
  const ref = input.options.get('user')
  const user = ref?.includes('@')
    ? (
        await itemsOf(
          input,
          'users',
          `/users?search=${encodeURIComponent(searchFor(emailKey(ref)))}&size=${CANDIDATES_MAX}`,
        )
      ).find(({ email }) => email && emailKey(email) === emailKey(ref))?.id
    : ref
  const filter = user === undefined ? 'all=true' : `user_id=${encodeURIComponent(user)}`
  const items = await itemsOf(input, 'auth', `/auth/sessions?${filter}&size=${CANDIDATES_MAX}`)
  return items.map(({ id = '', last_used_at, user_agent }) => ({
    value: id,
    description: `${last_used_at} ${user_agent ?? ''}`,
  }))
}

async function keys(input: CompletionInput): Promise<Candidate[]> {
  const items = await itemsOf(input, 'auth', '/admin/keys')
  return items.map(({ kid = '', status }) => ({ value: kid, description: status ?? '' }))
}

async function webhooks(input: CompletionInput): Promise<Candidate[]> {
  const items = await itemsOf(input, 'auth', '/admin/webhooks')
  return items.map(({ id = '', url }) => ({ value: id, description: url ?? '' }))
}

async function clients(input: CompletionInput): Promise<Candidate[]> {
  const items = await itemsOf(input, 'auth', '/admin/clients')
  // A value that starts with a dash would be parsed as an option.
  return items
    .filter(({ name }) => name && !name.startsWith('-'))
    .map(({ kind, name, scopes = [] }) => ({ value: name ?? '', description: `${kind} ${scopes.join(' ')}` }))
}

function scopes(): Candidate[] {
  return Object.entries({ ...SCOPES, ...USER_SCOPES }).map(([value, description]) => ({ value, description }))
}

/** Emails that failed. */
async function mails(input: CompletionInput): Promise<Candidate[]> {
  const items = await itemsOf(input, 'auth', `/admin/mails?status=failed&size=${CANDIDATES_MAX}`)
  return items.map(({ id = '', kind, to }) => ({ value: id, description: `${kind} to ${to}` }))
}

async function backups({ env }: CompletionInput): Promise<Candidate[]> {
  const [{ backupsOf }, { listBackups }] = await Promise.all([
    import('../../../services/kit/process/verified-backup.ts'),
    import('../../../db/sqlite/backup/manifest.ts'),
  ])
  const { backups: all } = listBackups(backupsOf(dataDirOf(env)))
  return [{ value: 'latest' }, ...all.slice(0, CANDIDATES_MAX).map(({ name }) => ({ value: name }))]
}

/** The fields of the API's items that completions show. */
interface Item {
  id?: string
  kid?: string
  email?: string
  username?: string | null
  name?: string | null
  status?: string
  last_used_at?: string
  kind?: string
  to?: string
  url?: string
  user_agent?: string | null
  scopes?: string[]
}

/**
 * Fetches items without refreshing the credential: a refresh that the shell interrupts would lose the session.
 * @throws the error of fetch
 */
async function itemsOf({ env, options, signal }: CompletionInput, service: ServiceName, path: string): Promise<Item[]> {
  const { addresses, credential } = await connect(options.get('url'), env)
  if (credential === null || (credential.kind === 'session' && !isFresh(credential.context))) return []
  const token = credential.kind === 'session' ? credential.context.access_token : credential.value
  const headers: Record<string, string> =
    credential.kind === 'key' ? { 'x-api-key': token } : { authorization: `Bearer ${token}` }
  const answer = await callDirectly(`${addresses[service].value}/api/v1${path}`, {
    headers,
    signal,
    redirect: 'manual',
  })
  return answer.ok ? ((await answer.json()) as { items: Item[] }).items : []
}
