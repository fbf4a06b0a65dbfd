import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { type CachedAccountContext, cachedAccount } from '../accounts/cached-account.ts'
import { type RecentContext, requireRecentUser } from '../assurance/recent.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { Notices } from '../mail/notices.ts'
import type { Factor, FactorList } from '../schemas/factors.ts'
import type { Account, AccountStore, FactorStore, FactorsOfUser, Passkey, Totp } from '../store/index.ts'
import { hashesOfRecoveryCodes, newRecoveryCodes } from './recovery-codes.ts'

export type FactorRead = Factor

export type FactorsContext = AuditRecordContext &
  CachedAccountContext &
  RecentContext & {
    store: AccountStore & FactorStore
    notices: Notices
    config: Pick<Config, 'emailLogin'>
  }

type LoggedIn = Caller & { userId: string }

/** An app that shows codes, as the API answers it. */
export function totpRead({ createdAt, id, lastUsedAt, name }: Totp): FactorRead {
  return { id, kind: 'totp', name, created_at: timestamp(createdAt), last_used_at: timeOrNull(lastUsedAt) }
}

/** A passkey, as the API answers it. */
export function passkeyRead({ backedUp, createdAt, id, lastUsedAt, name, transports }: Passkey): FactorRead {
  const times = { created_at: timestamp(createdAt), last_used_at: timeOrNull(lastUsedAt) }
  return { id, kind: 'passkey', name, ...times, transports, backed_up: backedUp }
}

function timeOrNull(time: number | null): string | null {
  return time === null ? null : timestamp(time)
}

/** Lists the factors of a user, oldest first. */
export async function listFactors({ store }: { store: FactorStore }, userId: string): Promise<FactorList> {
  const factors = await store.factorsOf(userId)
  return { items: itemsOf(factors), recovery_codes_left: factors.recoveryCodes }
}

function itemsOf({ passkeys, totps }: FactorsOfUser): FactorRead[] {
  const items = [...totps.map(totpRead), ...passkeys.map(passkeyRead)]
  return items.sort((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at) || a.id.localeCompare(b.id))
}

/**
 * Gives the user a new set of recovery codes. The old set is void.
 * @throws Problem `factor_not_found` for a user without a second factor, `reauthentication_required`
 */
export async function replaceRecoveryCodes(context: FactorsContext, caller: LoggedIn): Promise<string[]> {
  await requireRecentUser(context, caller)
  const { clock, notices, random, store } = context
  const { userId } = caller
  const codes = newRecoveryCodes(random)
  const hashes = hashesOfRecoveryCodes(userId, codes)
  const event = auditEvent(context, caller, 'recovery_codes.replaced', userId)
  if (!(await store.replaceRecoveryCodes(userId, hashes, clock.now(), event))) throw new Problem('factor_not_found')
  await notices.add(await accountOf(context, userId), 'recovery_codes_replaced', caller)
  return codes
}

/** Renames a factor of the caller. @throws Problem `factor_not_found`, `reauthentication_required` */
export async function renameFactor(
  context: FactorsContext,
  id: string,
  name: string,
  caller: LoggedIn,
): Promise<FactorRead> {
  await requireRecentUser(context, caller)
  const { store } = context
  if (!(await store.renameFactor(caller.userId, id.toLowerCase(), name))) throw new Problem('factor_not_found')
  const factor = itemsOf(await store.factorsOf(caller.userId)).find((each) => each.id === id.toLowerCase())
  if (!factor) throw new Problem('factor_not_found')
  return factor
}

/**
 * Removes a factor of the caller; with the last one also the recovery codes.
 * @throws Problem `factor_not_found`, `reauthentication_required`; `last_way_in` for the only passkey of a user without
 * another way to log in; `users_unavailable`
 */
export async function removeFactor(context: FactorsContext, id: string, caller: LoggedIn): Promise<void> {
  await requireRecentUser(context, caller)
  const { notices, store } = context
  const { userId } = caller
  // Users must say whether someone whom the cache has lost has a password.
  const account = await cachedAccount(context, userId, caller)
  if (!account) throw new Problem('token_revoked')
  const event = auditEvent(context, caller, 'factor.removed', userId, { factor_id: id.toLowerCase() })
  const removed = await store.removeFactor(userId, id.toLowerCase(), needsPasskey(context, account), event)
  if (removed === 'last_way_in') throw new Problem('last_way_in')
  if (removed === 'unknown') throw new Problem('factor_not_found')
  await notices.add(account, removed === 'passkey' ? 'passkey_removed' : 'totp_removed', caller)
}

/** Whether a user can log in by a passkey alone. A reset by mail is no way in (contract 11). */
function needsPasskey({ config }: FactorsContext, { emailVerified, passwordHash }: Account): boolean {
  return passwordHash === null && !(config.emailLogin && emailVerified)
}

async function accountOf({ store }: { store: AccountStore }, userId: string): Promise<Account> {
  const account = await store.accountById(userId)
  if (!account) throw new Problem('token_revoked')
  return account
}
