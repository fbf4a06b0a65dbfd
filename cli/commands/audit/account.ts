import { emailKey } from '../../../services/kit/schema/email.ts'
import { searchFor } from '../../client/search.ts'
import { quoted } from '../../terminal/shell.ts'
import type { Tool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'
import type { AuditRow, Refused } from './explanation.ts'

/** Whom it is about: as users has it, or, with users away, as auth does. */
export interface Subject {
  id: string
  email: string
  username: string | null
  status: string
  /** Null where users could not be asked. */
  updated_at: string | null
}

/** All that can be seen of an account and its logins; lists are newest first. */
export interface Account {
  user: Subject
  /** The command line's word for it. */
  ref: string
  entry: CacheEntry | undefined
  failures: number
  lastFailedAt: string | null
  pausedUntil: string | null
  refused: Refused[]
  failed: AuditRow[]
  lastLogin: AuditRow | undefined
  rows: AuditRow[]
}

export interface CacheEntry {
  user_id: string
  email: string
  username: string | null
  status: string
  password_version: number
  synced_at: string
}

const MANY = '200'
const SOME = '50'
const LOOKED_AT = 1000

export async function accountOf(tool: Tool, user: Subject): Promise<Account> {
  const api = await tool.api()
  const rows = async (query: { type?: string; size: string }) =>
    (await api.auth((auth) => auth.admin.audit.get({ query: { user_id: user.id, ...query } }))).items as AuditRow[]
  const [entry, trouble, failed, [lastLogin], all] = await Promise.all([
    cacheEntry(tool, emailKey(user.email), ({ user_id }) => user_id === user.id),
    troubleOf(tool, user),
    rows({ type: 'login.failed', size: SOME }),
    rows({ type: 'session.created', size: '1' }),
    rows({ size: SOME }),
  ])
  // Before auth first hears of a user, what failed is written down under the name that was typed.
  const typed = failed.length === 0 && trouble.failures > 0 ? await failedAs(tool, user.email) : []
  return { user, ref: quoted(user.email), entry, ...trouble, failed: [...failed, ...typed], lastLogin, rows: all }
}

/** What auth counts of an account: under its id, or under its names as long as it does not know whose they are. */
export async function troubleOf(
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
  const newest = (moments: (string | null)[]) =>
    moments
      .filter((at) => at !== null)
      .sort()
      .at(-1) ?? null
  const different = new Map(refused.flatMap(({ items }) => items).map((one) => [one.request_id, one]))
  return {
    failures: Math.max(...limits.map(({ failures }) => failures)),
    lastFailedAt: newest(limits.map(({ last_failed_at }) => last_failed_at)),
    pausedUntil: newest(limits.map(({ paused_until }) => paused_until)),
    refused: [...different.values()].sort((one, other) => other.at.localeCompare(one.at)) as Refused[],
  }
}

/** The failed logins by an email that auth knows no account of; only so far back as a person would look. */
export async function failedAs(tool: Tool, email: string): Promise<AuditRow[]> {
  const api = await tool.api()
  const found: AuditRow[] = []
  const parts = pages(
    (part) => api.auth((auth) => auth.admin.audit.get({ query: { type: 'login.failed', ...part } })),
    undefined,
    LOOKED_AT,
  )
  for await (const { items } of parts) found.push(...(items as unknown[] as AuditRow[]))
  return found.filter(({ detail }) => typeof detail.email === 'string' && emailKey(detail.email) === emailKey(email))
}

/** What auth holds for logins by an email or a username, in whatever spelling. */
export function cacheEntryNamed(tool: Tool, name: string): Promise<CacheEntry | undefined> {
  const key = emailKey(name)
  return cacheEntry(tool, key, ({ email, username }) => [emailKey(email), username].includes(key))
}

/** What auth holds for logins. @param name a username, or an email in its ASCII form */
async function cacheEntry(
  tool: Tool,
  name: string,
  fits: (entry: CacheEntry) => boolean,
): Promise<CacheEntry | undefined> {
  const api = await tool.api()
  const query = { search: searchFor(name), size: MANY }
  const { items } = await api.auth((auth) => auth.admin['password-cache'].get({ query }))
  return items.find(fits)
}
