import type { AuditRow, LoginHistory, RefusedLogin } from '../../../services/kit/login-verdict.ts'
import { emailKey } from '../../../services/kit/schema/email.ts'
import { searchFor } from '../../client/search.ts'
import { quoted } from '../../terminal/shell.ts'
import type { Tool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'
import { hasFactors } from './second-factor.ts'

/** The user in question, from the users service or, if that is unreachable, from auth's cache. */
export interface Subject {
  id: string
  email: string
  username: string | null
  status: string
  /** Null if the users service is unreachable. */
  updated_at: string | null
}

/** An account and its logins, as the explanation of a failure needs them; lists are newest first. */
export interface Account {
  user: Subject
  /** The email, quoted for a shell, for suggested commands. */
  ref: string
  entry: CacheEntry | undefined
  /** Failed logins that auth counts against the account. */
  failures: number
  lastFailedAt: string | null
  /** The end of the last lockout, which may be over. */
  lockedUntil: string | null
  refused: RefusedLogin[]
  /** Whether logins ask for a second factor. */
  hasFactor: boolean
  failed: AuditRow[]
  lastLogin: AuditRow | undefined
  lastReauthentication: AuditRow | undefined
  rows: AuditRow[]
  resetMail: LoginHistory['resetMail']
}

export interface CacheEntry {
  user_id: string
  email: string
  username: string | null
  status: string
  password_version: number
  synced_at: string
}

const CACHE_ROWS = '200'
const ROWS = '50'
const FAILED_ROWS_MAX = 1000

/** Collects what auth and its audit know about a user. */
export async function accountOf(tool: Tool, user: Subject): Promise<Account> {
  const api = await tool.api()
  const rows = async (query: { type?: string; size: string }) =>
    (await api.auth((auth) => auth.admin.audit.get({ query: { user_id: user.id, ...query } }))).items as AuditRow[]
  const [entry, loginLimits, failed, [lastLogin], [lastReauthentication], all, hasFactor, mails] = await Promise.all([
    cacheEntry(tool, emailKey(user.email), ({ user_id }) => user_id === user.id),
    loginLimitsOf(tool, user),
    rows({ type: 'login.failed', size: ROWS }),
    rows({ type: 'session.created', size: '1' }),
    rows({ type: 'session.reauthenticated', size: '1' }),
    rows({ size: ROWS }),
    hasFactors(tool, user.id),
    api.auth((auth) => auth.admin.mails.get({ query: { user_id: user.id, kind: 'password_reset', size: '1' } })),
  ])
  // Until auth knows a user, failed logins are recorded under the typed name.
  const failedByName = failed.length === 0 && loginLimits.failures > 0 ? await failedLoginsAs(tool, user.email) : []
  return {
    user,
    ref: quoted(user.email),
    entry,
    ...loginLimits,
    hasFactor,
    failed: [...failed, ...failedByName],
    lastLogin,
    lastReauthentication,
    rows: all,
    resetMail: mails.items[0],
  }
}

/** Auth's failure counts and lockout of an account: by its id, or by its names until auth knows the user. */
export async function loginLimitsOf(
  tool: Tool,
  { email, id, username }: { email: string; id?: string; username: string | null },
) {
  const api = await tool.api()
  const subjects = [
    ...(id === undefined ? [] : [{ user_id: id }]),
    { login: email },
    ...(username === null ? [] : [{ login: username }]),
  ]
  const [limits, refused] = await Promise.all([
    Promise.all(subjects.map((query) => api.auth((auth) => auth.admin['login-limits'].get({ query })))),
    Promise.all(subjects.map((query) => api.auth((auth) => auth.admin['refused-logins'].get({ query })))),
  ])
  const newest = (times: (string | null)[]) =>
    times
      .filter((at) => at !== null)
      .sort()
      .at(-1) ?? null
  const uniqueRefused = new Map(refused.flatMap(({ items }) => items).map((one) => [one.request_id, one]))
  return {
    failures: Math.max(...limits.map(({ failures }) => failures)),
    lastFailedAt: newest(limits.map(({ last_failed_at }) => last_failed_at)),
    lockedUntil: newest(limits.map(({ paused_until }) => paused_until)),
    refused: [...uniqueRefused.values()].sort((one, other) => other.at.localeCompare(one.at)) as RefusedLogin[],
  }
}

/** The latest failed logins with an email for which auth has no account. */
export async function failedLoginsAs(tool: Tool, email: string): Promise<AuditRow[]> {
  const api = await tool.api()
  const rows: AuditRow[] = []
  const parts = pages(
    (part) => api.auth((auth) => auth.admin.audit.get({ query: { type: 'login.failed', ...part } })),
    undefined,
    FAILED_ROWS_MAX,
  )
  for await (const { items } of parts) rows.push(...(items as unknown[] as AuditRow[]))
  return rows.filter(({ detail }) => typeof detail.email === 'string' && emailKey(detail.email) === emailKey(email))
}

/** Auth's cache entry for an email or a username, ignoring case. */
export function cacheEntryNamed(tool: Tool, name: string): Promise<CacheEntry | undefined> {
  const key = emailKey(name)
  return cacheEntry(tool, key, ({ email, username }) => [emailKey(email), username].includes(key))
}

/** Auth's cache entry. @param name a username, or an email in its ASCII form */
async function cacheEntry(
  tool: Tool,
  name: string,
  matches: (entry: CacheEntry) => boolean,
): Promise<CacheEntry | undefined> {
  const api = await tool.api()
  const query = { search: searchFor(name), size: CACHE_ROWS }
  const { items } = await api.auth((auth) => auth.admin['password-cache'].get({ query }))
  return items.find(matches)
}
