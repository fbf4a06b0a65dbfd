import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import type { Caller } from '../../kit/caller.ts'
import { type Clock, DAY, HOUR, MINUTE } from '../../kit/clock.ts'
import { type LimitRule, type LimitStore, limit, type PaceRule, pace } from '../../kit/limits.ts'
import { Problem } from '../../kit/problem.ts'
import type { Config } from '../../kit/process/config.ts'
import type { Random } from '../../kit/random.ts'
import { emailKey } from '../../kit/schema/email.ts'
import type { MailQueue } from '../mail/queue.ts'
import type {
  Challenge,
  ChallengeData,
  ChallengeOptions,
  ChallengeStore,
  LoginPurpose,
  MailedPurpose,
  MailKind,
  MailRequest,
  WaitingLogin,
} from '../store/index.ts'

export interface ChallengeRequestContext {
  store: LimitStore
  clock: Clock
  random: Random
  mails: Pick<MailQueue, 'addWithChallenge'>
  config: Pick<Config, 'rateLimit'>
}

/** How long a code or a link can be used, in milliseconds. */
interface Lifetime {
  /** Undefined: the mail has a link alone. */
  code?: number
  link: number
}

const CODE = 10 * MINUTE

/** The lifetimes: of codes from the request, of links from the first attempt to send the mail. */
export const LIFETIMES: Record<MailedPurpose, Lifetime> = {
  password_reset: { link: 30 * MINUTE },
  email_verification: { code: CODE, link: DAY },
  email_code: { code: CODE, link: CODE },
  email_change: { code: CODE, link: HOUR },
  email_undo: { link: 7 * DAY },
  invitation: { link: 7 * DAY },
  device: { code: CODE, link: CODE },
}

/** The kind of the mail that a challenge is sent by. */
const KINDS: Record<MailedPurpose, MailKind> = {
  password_reset: 'password_reset',
  email_verification: 'email_verification',
  email_code: 'email_code',
  email_change: 'email_change',
  email_undo: 'email_changed',
  invitation: 'invitation',
  device: 'device',
}

const RESETS_AN_HOUR = 5
/**
 * When the link of the last mail has expired there is always one more reset mail, at most once an hour: otherwise someone
 * who uses up another user's mails would leave that user without a way in.
 */
const RESETS: PaceRule = {
  name: 'reset-mail',
  window: HOUR,
  next(times) {
    const [first, last] = [times.at(-RESETS_AN_HOUR), times.at(-1)]
    return first === undefined || last === undefined ? 0 : Math.min(first + HOUR, last + LIFETIMES.password_reset.link)
  },
}

const [MOST_AT_ONCE, AT_ONCE] = [3, 15 * MINUTE]
const MOST_A_DAY = 10

function mailRule(name: string): PaceRule {
  return {
    name,
    window: DAY,
    next(times) {
      const [recent, first] = [times.at(-MOST_AT_ONCE), times.at(-MOST_A_DAY)]
      return Math.max(recent === undefined ? 0 : recent + AT_ONCE, first === undefined ? 0 : first + DAY)
    },
  }
}

/** The limit on requests from one client address, for each purpose. */
const BY_ADDRESS = { most: 100, window: HOUR } satisfies Omit<LimitRule, 'name'>

export interface ChallengeRequest extends ChallengeOptions {
  purpose: MailedPurpose
  /** The address that the mail goes to. */
  address: string
  /** Absent: whoever has the address, which is looked up after the answer. */
  userId?: string
  data?: ChallengeData
  /** The id of the mail. Absent: a new one. With one, the request may be repeated. */
  mailId?: string
  /**
   * How the mail is limited. `by address`: as one that anyone can ask for, whether the address is known or not.
   * `after the password`: as one that only someone with the password can cause. `not`: it happens once.
   */
  limited: 'by address' | 'after the password' | 'not'
}

/**
 * Queues a mail with a code or a link. Whether the address belongs to a user is looked up later, so that known and unknown
 * addresses take the same time.
 * @returns the id by which a client names the challenge
 * @throws Problem `rate_limited`; `user_not_found` if the user has one of `withoutRoles`
 */
export async function requestChallenge(
  context: ChallengeRequestContext,
  { address, data = {}, limited, mailId = context.random.id(), purpose, userId, ...more }: ChallengeRequest,
  caller: Pick<Caller, 'ip' | 'requestId' | 'locale'>,
): Promise<string> {
  const { clock, config, mails, store } = context
  const now = clock.now()
  if (config.rateLimit && limited === 'by address') {
    if (caller.ip && isIP(caller.ip)) await limit(store, addressRule(purpose), caller.ip, now)
    await pace(store, purpose === 'password_reset' ? RESETS : mailRule(`mail-${purpose}`), subjectOf(address), now)
  }
  if (config.rateLimit && limited === 'after the password')
    await pace(store, mailRule(`mail-${purpose}-login`), subjectOf(address), now)
  const request = { purpose, address, userId: userId ?? null, data, mailId, requestedAt: now }
  const challenge = newChallenge(context, request, LIFETIMES[purpose])
  const isAdded = await mails.addWithChallenge(
    {
      id: mailId,
      kind: KINDS[purpose],
      email: address,
      userId: userId ?? null,
      locale: caller.locale,
      data: {},
      requestedAt: now,
      ip: caller.ip,
      requestId: caller.requestId,
    },
    challenge,
    more,
  )
  if (!isAdded) throw new Problem('user_not_found')
  return challenge.id
}

/** Makes the challenge by which the owner of an earlier address can undo a change. */
export function undoChallenge(
  context: Pick<ChallengeRequestContext, 'random'>,
  { email, id, requestedAt, userId }: Pick<MailRequest, 'email' | 'id' | 'requestedAt' | 'userId'>,
): Challenge {
  const request = { purpose: 'email_undo', address: email, userId, data: {}, mailId: id, requestedAt } as const
  return newChallenge(context, request, LIFETIMES.email_undo)
}

/** How long a login waits for a second factor, or for the enrolment of one, in milliseconds. */
const LOGIN_LIFETIMES: Record<LoginPurpose, number> = {
  second_factor: 5 * MINUTE,
  factor_enrolment: 10 * MINUTE,
}

/**
 * Makes a login wait for its next step.
 * @returns the id by which the client names it, and the seconds until it expires
 */
export async function openLoginChallenge(
  context: Pick<ChallengeRequestContext, 'clock' | 'random'> & { store: ChallengeStore },
  purpose: LoginPurpose,
  { address, login, userId }: { address: string; userId: string; login: WaitingLogin },
): Promise<{ challenge_id: string; expires_in: number }> {
  const { clock, random, store } = context
  const now = clock.now()
  const request = { purpose, address, userId, data: { login }, mailId: random.id(), requestedAt: now }
  const challenge = newChallenge(context, request, { code: LOGIN_LIFETIMES[purpose], link: LOGIN_LIFETIMES[purpose] })
  await store.openChallenge(challenge)
  return { challenge_id: challenge.id, expires_in: LOGIN_LIFETIMES[purpose] / 1000 }
}

/** Makes a challenge. Its mail, if it has one, is not written yet: it has no code and no link. */
function newChallenge(
  { random }: Pick<ChallengeRequestContext, 'random'>,
  request: Pick<Challenge, 'purpose' | 'address' | 'userId' | 'data' | 'mailId' | 'requestedAt'>,
  { code, link }: Lifetime,
): Challenge {
  return {
    ...request,
    id: Buffer.from(random.bytes(16)).toString('base64url'),
    tokenHash: null,
    codeExpiresAt: code === undefined ? null : request.requestedAt + code,
    expiresAt: request.requestedAt + link,
    tries: 0,
    takenAt: null,
  }
}

function addressRule(purpose: MailedPurpose): LimitRule {
  return { ...BY_ADDRESS, name: purpose === 'password_reset' ? 'reset-address' : `mail-address-${purpose}` }
}

/** Addresses are counted by a digest: unknown ones are never stored. */
function subjectOf(address: string): string {
  return createHash('sha256').update(emailKey(address)).digest('base64url')
}
