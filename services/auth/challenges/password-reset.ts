import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import type { Caller } from '../../kit/caller.ts'
import { HOUR, MINUTE } from '../../kit/clock.ts'
import type { FieldError } from '../../kit/field-errors.ts'
import { type LimitRule, type LimitStore, limit, type PaceRule, pace } from '../../kit/limits.ts'
import { passwordErrors } from '../../kit/passwords/policy.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import { emailKey } from '../../kit/schema/email.ts'
import { type SyncContext, syncUser } from '../accounts/sync.ts'
import { auditEvent } from '../audit/record.ts'
import type { Codes } from '../keys/sealing.ts'
import type { MailQueue } from '../mail/queue.ts'
import type { Letter } from '../mail/transport.ts'
import type { UsersPeer } from '../peers.ts'
import type { AccountStore, MailRequest, ResetStore } from '../store/index.ts'

export type ChallengesContext = SyncContext & {
  store: AccountStore & LimitStore & ResetStore
  users: Pick<UsersPeer, 'passwordRecord' | 'resetPassword' | 'userByEmail'>
  /** Derives the tokens of reset links. */
  resetCodes: Codes
  config: Pick<Config, 'passwordMinLength' | 'publicUrl' | 'rateLimit'>
}

/** Milliseconds for which a reset link works. */
const LIFETIME = 30 * MINUTE
const MAILS_AN_HOUR = 5
/**
 * Limits reset mails by the address that was typed, whether it is known or not, so the limit reveals nothing. When the
 * link of the last mail has expired there is always one more mail, at most once an hour: otherwise someone who uses up
 * another user's mails would leave that user without a working link.
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
/** 128 bits: the link fits on one line of the mail, also in a file. */
const TOKEN_BYTES = 16

/**
 * Queues a password reset mail. Whether the address belongs to a user is looked up later, so that known and unknown
 * addresses take the same time.
 * @throws Problem `rate_limited`
 */
export async function requestReset(
  context: Pick<ChallengesContext, 'clock' | 'config' | 'random'> & { store: LimitStore },
  mails: Pick<MailQueue, 'add'>,
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
  await mails.add({ id: random.id(), kind: 'password_reset', email, requestedAt: now, ip, requestId })
}

/**
 * Sets a new password for whoever presents the token of a reset link. When it resolves, the old password no longer works
 * and every session of the user has ended.
 * @throws Problem `invalid_reset_token`, `weak_password`, `validation_failed`, `users_unavailable`; the token stays valid
 * unless the password was set
 */
export async function confirmReset(
  context: ChallengesContext,
  token: string,
  newPassword: string,
  caller: Caller,
): Promise<void> {
  const { clock, limits, store, users } = context
  const hash = hashOf(token)
  const userId = await store.takeReset(hash, clock.now())
  if (userId === null) throw new Problem('invalid_reset_token')
  let userExists: boolean
  try {
    userExists = await users.resetPassword(userId, newPassword, caller.requestId)
  } catch (error) {
    await store.returnReset(hash)
    throw error
  }
  const event = userExists ? auditEvent(context, caller, 'password.reset_confirmed', userId) : null
  await store.finishReset(hash, event)
  if (!userExists) throw new Problem('invalid_reset_token')
  // Users has sent the change by now. In case that notice was lost, the new record is fetched before the answer.
  const record = await users.passwordRecord(userId, caller.requestId)
  if (record) await syncUser(context, record, caller)
  await limits.forget(userId)
}

/** Returns the errors of a new password that can be found without knowing whose it will be. */
export function resetErrors(
  { config }: { config: Pick<Config, 'passwordMinLength'> },
  { new_password }: { new_password?: unknown },
): FieldError[] {
  return passwordErrors('new_password', new_password, config.passwordMinLength, [])
}

/** Returns the hash that is stored instead of a token. */
function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/**
 * Writes the mail with the reset link. Each attempt to send it produces the same link: an attempt that seemed to fail may
 * have arrived, and its link must keep working.
 * @returns null when no active user has the address, or the link is no longer valid
 * @throws Problem `users_unavailable`
 */
export async function composeReset(context: ChallengesContext, request: MailRequest): Promise<Letter | null> {
  const { clock, config, store } = context
  const { id: mailId, requestedAt } = request
  const user = await ownerOf(context, request)
  if (!user) return null
  const tokens = tokensOf(context, mailId)
  const [token = ''] = tokens
  const event = auditEvent(context, requesterOf(request), 'password.reset_requested', user.userId)
  const now = clock.now()
  const reset = { mailId, tokenHash: hashOf(token), userId: user.userId, requestedAt, expiresAt: now + LIFETIME }
  const issued = await store.issueReset(reset, now, event)
  // If CH202_SECRET was replaced after the first attempt, the link was derived from an older secret.
  const issuedToken = tokens.find((each) => issued && hashOf(each).equals(issued.tokenHash))
  if (!issued || issuedToken === undefined) return null
  return resetMail(user.email, `${config.publicUrl}/reset-password?token=${issuedToken}`, issued.expiresAt)
}

/**
 * Derives the token of a mail from each secret; the first one is for new links. Deriving it means that no token is ever
 * stored.
 */
function tokensOf({ resetCodes }: Pick<ChallengesContext, 'resetCodes'>, mailId: string): string[] {
  return resetCodes.all(Buffer.from(mailId)).map((code) => code.subarray(0, TOKEN_BYTES).toString('base64url'))
}

/** Returns who requested a mail, for the audit. */
function requesterOf({ ip, requestId }: MailRequest) {
  return { actor: 'anyone', ip, requestId: requestId ?? '' }
}

/** Finds the active user whom an address belongs to, in the cache or in users; null: no active user has it. */
async function ownerOf(
  context: ChallengesContext,
  request: MailRequest,
): Promise<{ userId: string; email: string } | null> {
  const { random, store, users } = context
  const { email, requestId } = request
  const account = await store.accountByEmail(email)
  if (account?.cached) return account.status === 'active' ? account : null
  const user = await users.userByEmail(email, requestId)
  if (user?.status !== 'active') return null
  // Cached before the link is created: storing a user's first record voids their links.
  const requester = { ...requesterOf(request), requestId: requestId ?? random.id() }
  const record = await users.passwordRecord(user.id, requester.requestId)
  if (!record) return null
  await syncUser(context, record, requester)
  return { userId: user.id, email: user.email }
}

function resetMail(to: string, link: string, expiresAt: number): Letter {
  const until = new Date(expiresAt).toISOString().slice(11, 16)
  return {
    to,
    subject: 'Reset your password',
    text: [
      'Someone, probably you, asked to reset the password of this account.',
      '',
      'To set a new password, open this link. It works once, within the next',
      `half hour (until ${until} UTC):`,
      '',
      link,
      '',
      'If you did not ask for this, ignore this mail: your password stays as',
      'it is.',
      '',
    ].join('\n'),
  }
}
