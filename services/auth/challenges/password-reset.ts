import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import type { Caller } from '../../kit/caller.ts'
import { HOUR, MINUTE } from '../../kit/clock.ts'
import type { FieldError } from '../../kit/field-errors.ts'
import { type LimitRule, limit, type PaceRule, pace } from '../../kit/limits.ts'
import { passwordErrors } from '../../kit/passwords/policy.ts'
import { Problem } from '../../kit/problem.ts'
import { emailKey } from '../../kit/schema/email.ts'
import { syncUser } from '../accounts/password-cache.ts'
import { type AuthContext, auditEvent } from '../context.ts'
import type { MailQueue } from '../mail/queue.ts'
import type { Letter } from '../mail/transport.ts'
import type { MailRequest } from '../store/index.ts'

const LIFETIME = 30 * MINUTE
const MAILS_AN_HOUR = 5
/**
 * By the address that was typed, whether it is known or not: the sixth is told, and tells nothing. But when the link of
 * the last mail has run out there is always another, at most one more an hour: else whoever spends the mails of someone
 * else would leave it without a link that works.
 */
const BY_EMAIL: PaceRule = {
  name: 'reset-mail',
  window: HOUR,
  next(times) {
    const [first, last] = [times.at(-MAILS_AN_HOUR), times.at(-1)]
    return first === undefined || last === undefined ? 0 : Math.min(first + HOUR, last + LIFETIME)
  },
}
const BY_ADDRESS: LimitRule = { name: 'reset-address', most: 100, window: HOUR }
/** 128 bits; the link fits on one line of the mail, also of one that is read as a file. */
const TOKEN_BYTES = 16

/**
 * Writes a request down and is done: whose address it is, is found out after the answer, so that known and unknown take
 * the same time.
 * @throws Problem `rate_limited`
 */
export async function requestReset(
  context: AuthContext,
  mails: MailQueue,
  email: string,
  caller: Caller,
): Promise<void> {
  const { clock, config, random, store } = context
  const { ip, requestId } = caller
  const now = clock.now()
  if (config.rateLimit) {
    if (ip && isIP(ip)) await limit(store, BY_ADDRESS, ip, now)
    const subject = createHash('sha256').update(emailKey(email)).digest('base64url')
    await pace(store, BY_EMAIL, subject, now)
  }
  await mails.ask({ id: random.id(), kind: 'password_reset', email, requestedAt: now, ip, requestId })
}

/**
 * Sets a new password for the bearer of a token that a mail brought. When it resolves, the old password does not work
 * any more and every session of the user has ended.
 * @throws Problem `invalid_reset_token`, `weak_password`, `validation_failed`, `users_unavailable`; the token is spent
 * only when the password was set
 */
export async function confirmReset(
  context: AuthContext,
  token: string,
  newPassword: string,
  caller: Caller,
): Promise<void> {
  const { clock, limits, store, users } = context
  const hash = hashOf(token)
  const userId = await store.takeReset(hash, clock.now())
  if (userId === null) throw new Problem('invalid_reset_token')
  let found: boolean
  try {
    found = await users.resetPassword(userId, newPassword, caller.requestId)
  } catch (error) {
    await store.returnReset(hash)
    throw error
  }
  const confirmed = auditEvent(context, caller, 'password.reset_confirmed', userId)
  await store.finishReset(hash, found ? confirmed : null)
  if (!found) throw new Problem('invalid_reset_token')
  // Users has told us by now; where its notice was lost, the new record is fetched before the answer.
  const record = await users.passwordRecord(userId, caller.requestId)
  if (record) await syncUser(context, record, caller)
  await limits.forget(userId)
}

/** What is wrong with a new password before it is known whose it will be. */
export function resetErrors({ config }: AuthContext, { new_password }: { new_password?: unknown }): FieldError[] {
  return passwordErrors('new_password', new_password, config.passwordMinLength, [])
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/**
 * Makes the mail that brings a link. Each attempt to send it makes the same: an attempt that failed may have arrived, and
 * its link must stay the one that works. Null: there is no one to be told, or the link is of no use any more.
 * @throws Problem `users_unavailable`
 */
export async function composeReset(context: AuthContext, request: MailRequest): Promise<Letter | null> {
  const { clock, config, store } = context
  const { id: mailId, ip, requestId, requestedAt } = request
  const user = await ownerOf(context, request)
  if (!user) return null
  const tokens = tokensOf(context, mailId)
  const [token = ''] = tokens
  const now = clock.now()
  const caller = { actor: 'anyone', ip, requestId: requestId ?? '' }
  const requested = auditEvent(context, caller, 'password.reset_requested', user.userId)
  const reset = { mailId, tokenHash: hashOf(token), userId: user.userId, requestedAt, expiresAt: now + LIFETIME }
  const issued = await store.issueReset(reset, now, requested)
  // Made with an older secret of the list, where the first attempt was before CH202_SECRET was replaced.
  const issuedToken = tokens.find((one) => issued && hashOf(one).equals(issued.tokenHash))
  if (!issued || issuedToken === undefined) return null
  return resetMail(user.email, `${config.publicUrl}/reset-password?token=${issuedToken}`, issued.expiresAt)
}

/** The token of a mail by each secret, the first of which makes new ones: derived, so that none is ever written down. */
function tokensOf({ resetCodes }: AuthContext, mailId: string): string[] {
  return resetCodes.all(Buffer.from(mailId)).map((code) => code.subarray(0, TOKEN_BYTES).toString('base64url'))
}

async function ownerOf(
  context: AuthContext,
  { email, ip, requestId }: MailRequest,
): Promise<{ userId: string; email: string } | null> {
  const { random, store, users } = context
  const account = await store.accountByEmail(email)
  if (account?.cached) return account.status === 'active' ? account : null
  const user = await users.userByEmail(email, requestId)
  if (user?.status !== 'active') return null
  // Into the cache before there is a link: the first record of a user voids their links, as a change would.
  const by = { actor: 'anyone', ip, requestId: requestId ?? random.id() }
  const record = await users.passwordRecord(user.id, by.requestId)
  if (!record) return null
  await syncUser(context, record, by)
  return { userId: user.id, email: user.email }
}

function resetMail(to: string, link: string, expiresAt: number): Letter {
  const until = new Date(expiresAt).toISOString().slice(11, 16)
  return {
    to,
    subject: 'Reset your password',
    text: [
      'Someone, probably you, asked to set a new password for this account.',
      '',
      'To set one, open this link. It works once, until it is half an hour old',
      `(${until} UTC):`,
      '',
      link,
      '',
      'If it was not you, do nothing: your password stays as it is.',
      '',
    ].join('\n'),
  }
}
