import type { Caller } from '../../kit/caller.ts'
import { invalidField, Problem } from '../../kit/problem.ts'
import type { Sealing } from '../../kit/tokens/sealing.ts'
import { type CachedAccountContext, cachedAccount } from '../accounts/cached-account.ts'
import { requireRecentUser } from '../assurance/recent.ts'
import { auditEvent } from '../audit/record.ts'
import type { FactorImport, FactorList } from '../schemas/factors.ts'
import { type LogoutContext, revokeSessions } from '../sessions/logout.ts'
import type { Account } from '../store/index.ts'
import { totpSecretName } from './check-code.ts'
import { type FactorRead, type FactorsContext, listFactors, totpRead } from './factors.ts'
import { fromBase32 } from './totp.ts'

export type FactorsOfOthersContext = FactorsContext & CachedAccountContext & LogoutContext & { sealing: Sealing }

/** Lists the factors of a user, for operators. @throws Problem `user_not_found` */
export async function factorsOfUser(
  context: FactorsOfOthersContext,
  userId: string,
  caller: Caller,
): Promise<FactorList> {
  const account = await anyAccount(context, userId, caller)
  return listFactors(context, account.userId)
}

/**
 * Removes every factor of a user who has lost them, ends their sessions and tells them.
 * @throws Problem `user_not_found`, `reauthentication_required`
 */
export async function resetFactors(context: FactorsOfOthersContext, userId: string, caller: Caller): Promise<void> {
  await requireRecentUser(context, caller)
  const account = await anyAccount(context, userId, caller)
  // The sessions after the factors: a login at this moment asks for none any more, and is ended with the others. Again, if a
  // session that has ended by now had added another one.
  for (let round = 1, removed = 1; removed > 0 && round <= ROUNDS; round++) {
    const event = auditEvent(context, caller, 'factors.reset', account.userId)
    removed = await context.store.removeFactors(account.userId, 0, event)
    await revokeSessions(context, { user_id: account.userId }, caller)
  }
  await context.notices.add(account, 'factors_reset', caller)
}

/** How often factors are removed, while someone adds others. The second time is the last one that finds any. */
const ROUNDS = 5

/** Bytes of a secret that another product has made. */
const SECRET_BYTES = { least: 10, most: 128 }

/**
 * Adds an app that shows codes, with the secret that another product gave it. Recovery codes are the user's own to make.
 * @throws Problem `user_not_found`, `email_not_verified`, `reauthentication_required`; `validation_failed` for a secret that
 * is not Base32, or that the user has already
 */
export async function importTotp(
  context: FactorsOfOthersContext,
  userId: string,
  { algorithm = 'SHA1', digits = 6, name = 'Authenticator app', period = 30, secret: text }: FactorImport,
  caller: Caller,
): Promise<FactorRead> {
  await requireRecentUser(context, caller)
  const account = await anyAccount(context, userId, caller)
  if (!account.emailVerified) throw new Problem('email_not_verified')
  const secret = fromBase32(text)
  if (!secret || secret.length < SECRET_BYTES.least || secret.length > SECRET_BYTES.most)
    throw invalidField('secret', { code: 'format', message: 'must be 10 to 128 bytes in Base32' })
  const { clock, random, sealing, store } = context
  const { totps } = await store.factorsOf(account.userId)
  const secrets = totps.map((totp) => sealing.open(totp.sealedSecret, totpSecretName(account.userId, totp.id)))
  if (secrets.some((each) => each?.equals(secret)))
    throw invalidField('secret', { code: 'taken', message: 'is one of the user already' })
  const id = random.id()
  const now = clock.now()
  const totp = {
    id,
    userId: account.userId,
    name,
    sealedSecret: sealing.seal(secret, totpSecretName(account.userId, id)),
    algorithm,
    digits,
    period,
    createdAt: now,
    confirmedAt: now,
    expiresAt: now,
    lastUsedAt: null,
    lastStep: -1,
  }
  await store.importTotp(
    totp,
    auditEvent(context, caller, 'factor.added', account.userId, { factor_id: id, kind: 'totp' }),
  )
  return totpRead(totp)
}

async function anyAccount(context: FactorsOfOthersContext, userId: string, caller: Caller): Promise<Account> {
  const account = await cachedAccount(context, userId.toLowerCase(), caller)
  if (!account) throw new Problem('user_not_found')
  return account
}
