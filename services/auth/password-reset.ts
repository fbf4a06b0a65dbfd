import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import type { Caller } from '../kit/caller.ts'
import { type Clock, HOUR, MINUTE } from '../kit/clock.ts'
import { type LimitRule, limit } from '../kit/limits.ts'
import { Problem } from '../kit/problem.ts'
import { type AuthContext, eventBy } from './context.ts'
import type { Mail, Mailer } from './mailer.ts'
import { syncUser } from './password-cache.ts'
import type { ResetRequest } from './store.ts'

const LIFETIME = 30 * MINUTE
/** By the address that was typed, whether it is known or not: the sixth is told, and tells nothing. */
const BY_EMAIL: LimitRule = { name: 'reset-email', most: 5, window: HOUR }
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
  mails: ResetMails,
  email: string,
  caller: Caller,
): Promise<void> {
  const { clock, config, random, store } = context
  const now = clock.now()
  if (config.rateLimit) {
    if (caller.ip && isIP(caller.ip)) await limit(store, BY_ADDRESS, caller.ip, now)
    const subject = createHash('sha256').update(email.toLowerCase()).digest('base64url')
    await limit(store, BY_EMAIL, subject, now)
  }
  await store.addResetRequest({ id: random.id(), email, requestedAt: now, ip: caller.ip, requestId: caller.requestId })
  mails.poke()
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
  await store.finishReset(hash)
  if (!found) throw new Problem('invalid_reset_token')
  // Users has told us by now; where its notice was lost, the new record is fetched before the answer.
  const record = await users.passwordRecord(userId)
  if (record) await syncUser(context, record, caller)
  await limits.forget(userId)
  await store.addEvent(eventBy(context, caller, 'password.reset_confirmed', userId))
}

function hashOf(token: string): Uint8Array {
  return createHash('sha256').update(token).digest()
}

const BATCH = 20
const FIRST_PAUSE = 1000
const LONGEST_PAUSE = 60_000

/** Sends the mails that were asked for, after the answers: what can't be sent now is tried again while it is of use. */
export class ResetMails {
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private wake = Promise.withResolvers<void>()

  constructor(
    private readonly context: AuthContext,
    private readonly mailer: Mailer,
  ) {}

  start(): void {
    this.running = true
    this.loop = this.work()
  }

  async stop(): Promise<void> {
    this.running = false
    this.poke()
    await this.loop
  }

  poke(): void {
    this.wake.resolve()
  }

  private async work(): Promise<void> {
    const { log, store } = this.context
    let pause = FIRST_PAUSE
    while (this.running) {
      this.wake = Promise.withResolvers()
      let failed = false
      let handled = 0
      try {
        for (const request of await store.resetRequests(BATCH)) {
          handled++
          if (!(await this.attempt(request))) failed = true
        }
      } catch (error) {
        failed = true
        log.error({ event: 'mail.failed', err: error })
      }
      if (!failed && handled > 0) {
        pause = FIRST_PAUSE
        continue
      }
      await Promise.race([this.wake.promise, failed ? Bun.sleep(pause) : new Promise(() => undefined)])
      pause = failed ? Math.min(pause * 2, LONGEST_PAUSE) : FIRST_PAUSE
    }
  }

  /** False: to be tried again. */
  private async attempt(request: ResetRequest): Promise<boolean> {
    const { clock, log, store } = this.context
    const late = clock.now() - request.requestedAt > LIFETIME
    try {
      if (!late) await this.send(request)
      else log.warn({ event: 'mail.given_up', ...(request.requestId ? { requestId: request.requestId } : {}) })
    } catch (error) {
      log.error({ event: 'mail.failed', ...(request.requestId ? { requestId: request.requestId } : {}), err: error })
      return false
    }
    await store.removeResetRequest(request.id)
    return true
  }

  private async send({ email, ip, requestId }: ResetRequest): Promise<void> {
    const { clock, config, random, store } = this.context
    const user = await this.owner(email)
    if (!user) return
    // Made anew at each try: only its hash is ever written down.
    const token = random.bytes(TOKEN_BYTES).toString('base64url')
    const caller = { actor: 'anyone', ip, requestId: requestId ?? '' }
    const requested = eventBy(this.context, caller, 'password.reset_requested', user.userId)
    await store.addReset(hashOf(token), user.userId, clock.now() + LIFETIME, requested)
    await this.mailer.send(resetMail(user.email, `${config.publicUrl}/reset-password?token=${token}`, clock))
  }

  private async owner(email: string): Promise<{ userId: string; email: string } | null> {
    const { store, users } = this.context
    const account = await store.accountByEmail(email)
    if (account?.cached) return account.status === 'active' ? account : null
    const user = await users.userByEmail(email)
    return user?.status === 'active' ? { userId: user.id, email: user.email } : null
  }
}

function resetMail(to: string, link: string, clock: Clock): Mail {
  const until = new Date(clock.now() + LIFETIME).toISOString().slice(11, 16)
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
