import type { FactorList } from '../../../auth/schemas/factors.ts'
import type { SessionRead } from '../../../auth/schemas/sessions.ts'
import { ADMIN } from '../../../kit/caller.ts'
import {
  type AuditRow,
  type Judged,
  judgeLogins,
  type LoginHistory,
  type RefusedLogin,
} from '../../../kit/login-verdict.ts'
import { isUuid } from '../../../kit/random.ts'
import type { MailKind, MailStatus } from '../../../kit/schema/mails.ts'
import type { UserRead } from '../../../kit/schema/user.ts'
import type { BrowserRequest } from '../../request/browser-request.ts'
import { expected } from '../../request/outcome.ts'
import { callFor, noSuchPage, readFor } from './gate.tsx'

/** A list of the API, as far as the console shows it. */
interface Part<T> {
  items: readonly T[]
  next_cursor: string | null
}

export interface MailRead {
  id: string
  kind: MailKind
  to: string
  status: MailStatus
  tries: number
  last_error: string | null
  created_at: string
}

interface LoginLimit {
  failures: number
  paused_until: string | null
}

/** Everything that the console shows about a user. */
export interface UserFacts {
  user: UserRead
  /** The id of the person who looks. */
  me: string
  /** Null for a support person, who may not see them. */
  factors: FactorList | null
  /** Failed sign-ins of a day. */
  failures: number
  /** The end of the lockout, if there is one now. */
  lockedUntil: string | null
  verdict: Judged
  lastLogin: AuditRow | undefined
  /** The last sign-ins that failed, or were not even checked, newest first. */
  attempts: readonly (AuditRow | RefusedLogin)[]
  sessions: Part<SessionRead>
  mails: Part<MailRead>
  audit: Part<AuditRow>
  /** The names of other users who appear in the audit, by their id, as far as the person may see them. */
  names: ReadonlyMap<string, string>
}

/** Rows that a verdict reads. */
const ROWS = '50'
/** Rows of each list on the page. */
const SHOWN = '20'
const ATTEMPTS = 5
const NOTHING = { items: [], next_cursor: null }

/**
 * Reads a user.
 * @returns null: there is no such user, or the person may not help them
 * @throws as `callFor`
 */
export async function userWith(request: BrowserRequest, id: string): Promise<UserRead | null> {
  const user_id = id.toLowerCase()
  if (!isUuid(user_id)) return null
  const { id: ownId, roles } = await request.user()
  // Everyone may read their own account, but support people help nobody with their role.
  if (user_id === ownId && !roles.includes(ADMIN)) return null
  return await readFor<UserRead>(request, ({ users }) => users({ user_id }).get())
}

/** The user whom an address of the console names. @throws as `callFor`, and as for an unknown address */
export async function userAt(request: BrowserRequest): Promise<UserRead> {
  const [, , , id = ''] = request.url.pathname.split('/')
  return (await userWith(request, id)) ?? noSuchPage()
}

/** Reads everything about a user. @throws as `callFor` */
export async function readFacts(request: BrowserRequest, user: UserRead): Promise<UserFacts> {
  const { id: user_id } = user
  const me = await request.user()
  const query = { user_id, size: SHOWN } as never
  const [factors, logins, sessions, mails, audit] = await Promise.all([
    me.roles.includes(ADMIN)
      ? readFor<FactorList>(request, ({ admin }) => admin.users({ user_id }).factors.get())
      : null,
    loginsOf(request, user),
    readFor<Part<SessionRead>>(request, ({ auth }) => auth.sessions.get({ query })),
    readFor<Part<MailRead>>(request, ({ admin }) => admin.mails.get({ query })),
    auditOf(request, user_id),
  ])
  const now = request.context.clock.now()
  const hasFactor = factors ? factors.items.length > 0 : seemsToHaveFactor(logins)
  const resetMail = mails?.items.find(({ kind }) => kind === 'password_reset')
  const attempts = [...logins.failed, ...logins.refused].toSorted((one, other) => other.at.localeCompare(one.at))
  return {
    user,
    me: me.id,
    factors,
    failures: logins.failures,
    lockedUntil: logins.lockedUntil !== null && Date.parse(logins.lockedUntil) > now ? logins.lockedUntil : null,
    verdict: judgeLogins({ ...logins, hasFactor, resetMail }, now),
    lastLogin: logins.lastLogin,
    attempts: attempts.slice(0, ATTEMPTS),
    sessions: sessions ?? NOTHING,
    mails: mails ?? NOTHING,
    audit,
    names: await namesOf(request, user, audit.items),
  }
}

/** Reads what auth knows about the sign-ins of a user; nothing, if it does not know them yet. */
async function loginsOf(
  request: BrowserRequest,
  user: UserRead,
): Promise<Omit<LoginHistory, 'hasFactor' | 'resetMail'>> {
  const query = { user_id: user.id }
  const [limit, refused, failed, signedIn, stepUps, rows] = await Promise.all([
    readFor<LoginLimit>(request, ({ admin }) => admin['login-limits'].get({ query })),
    readFor<{ items: RefusedLogin[] }>(request, ({ admin }) => admin['refused-logins'].get({ query })),
    auditRows(request, { ...query, type: 'login.failed', size: ROWS }),
    auditRows(request, { ...query, type: 'session.created', size: '1' }),
    auditRows(request, { ...query, type: 'session.reauthenticated', size: '1' }),
    auditRows(request, { ...query, size: ROWS }),
  ])
  return {
    user,
    failures: limit?.failures ?? 0,
    lockedUntil: limit?.paused_until ?? null,
    refused: refused?.items ?? [],
    failed: failed.items,
    lastLogin: signedIn.items[0],
    lastReauthentication: stepUps.items[0],
    rows: rows.items,
  }
}

async function auditRows(request: BrowserRequest, query: Record<string, string>): Promise<Part<AuditRow>> {
  const rows = await readFor<Part<AuditRow>>(request, ({ admin }) => admin.audit.get({ query: query as never }))
  return rows ?? NOTHING
}

/** The part of the audit that the address names: the newest rows, or those after its cursor. */
async function auditOf(request: BrowserRequest, user_id: string): Promise<Part<AuditRow>> {
  const cursor = request.url.searchParams.get('cursor')
  if (cursor === null) return await auditRows(request, { user_id, size: SHOWN })
  const query = { user_id, size: SHOWN, cursor } as never
  const outcome = await callFor<Part<AuditRow>>(request, ({ admin }) => admin.audit.get({ query }))
  // A cursor that someone changed.
  return !outcome.ok && outcome.problem.status < 500 ? NOTHING : expected(outcome)
}

/**
 * Decides by the newest row that shows it. A support person may not see the factors of others. How many a user had when they
 * removed one shows only if its addition is among the rows: otherwise it counts as the last one.
 */
function seemsToHaveFactor({ lastLogin, rows }: Pick<LoginHistory, 'lastLogin' | 'rows'>): boolean {
  const removals = new Set<unknown>()
  for (const { detail, type } of [...rows, ...(lastLogin ? [lastLogin] : [])]) {
    if (type === 'factor.removed') removals.add(detail.factor_id)
    if (type === 'factor.added' && !removals.delete(detail.factor_id)) return true
    if (type === 'factors.reset' || type === 'factors.removed') return false
    if (type === 'recovery_code.used') return removals.size === 0
    if (type === 'session.created')
      return removals.size === 0 && Array.isArray(detail.amr) && detail.amr.includes('mfa')
  }
  return false
}

/** Reads the names of other users who did something to a user, as far as the person may see them. */
async function namesOf(
  request: BrowserRequest,
  { id }: UserRead,
  rows: readonly AuditRow[],
): Promise<UserFacts['names']> {
  const { id: ownId } = await request.user()
  const ids = new Set(rows.map(({ actor }) => /^user:(.+)$/.exec(actor)?.[1] ?? ''))
  const others = [...ids].filter((each) => isUuid(each) && each !== id && each !== ownId)
  const users = await Promise.all(
    others.map((user_id) => readFor<UserRead>(request, ({ users }) => users({ user_id }).get())),
  )
  return new Map(users.flatMap((user) => (user ? [[user.id, user.name ?? user.email] as const] : [])))
}
