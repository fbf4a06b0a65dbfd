import type { Locale } from '../../kit/locale.ts'
import type { Config } from '../../kit/process/config.ts'
import { emailKey } from '../../kit/schema/email.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import { type CachedAccountContext, cachedAccount } from '../accounts/cached-account.ts'
import { auditEvent } from '../audit/record.ts'
import { CHALLENGES, hasChallenge } from '../mail/challenge-kinds.ts'
import type { MailTexts, MailValues } from '../mail/texts/texts.ts'
import type { Letter } from '../mail/transport.ts'
import type { UsersPeer } from '../peers.ts'
import type { Account, ChallengeStore, MailedPurpose, MailKind, MailRequest } from '../store/index.ts'
import { ONLY_ONE } from './only-one.ts'
import { LIFETIMES } from './request.ts'
import { mailedSecrets, secretsOf } from './secrets.ts'

export type ComposeContext = CachedAccountContext & {
  store: ChallengeStore
  users: Pick<UsersPeer, 'user' | 'userByEmail'>
  challengeCodes: Codes
  texts: MailTexts
  config: Pick<Config, 'locale' | 'publicUrl'>
}

/** The kinds that tell when something happened. */
const HAPPENED: ReadonlySet<MailKind> = new Set(['email_changed', 'device', 'notice'])

/** The person whom a mail is for. */
interface Recipient {
  userId: string
  to: string
  account: Account | null
}

/**
 * Writes a mail, the same in each attempt: an attempt that seemed to fail may have arrived, and its link must keep working.
 * @returns null when nobody should get it, or it is no longer useful
 * @throws Problem `users_unavailable`
 */
export async function composeMail(context: ComposeContext, request: MailRequest): Promise<Letter | null> {
  const { data, kind } = request
  if (data.isTest) return testMail(context, request)
  const recipient = await recipientOf(context, request)
  if (!recipient) return null
  const values = await valuesOf(context, request, recipient)
  if (!values) return null
  const locale = localeOf(recipient) ?? request.locale ?? context.config.locale
  return { to: recipient.to, ...context.texts.render(kind, locale, values) }
}

/** Begins the subject of a test: its recipient must not think that it is true. */
const TEST: Record<Locale, string> = { en: 'Test', ru: 'Проверка' }

function testMail({ config, texts }: ComposeContext, { email, kind, locale, requestedAt }: MailRequest): Letter {
  const language = locale ?? config.locale
  const { subject, ...forms } = texts.render(kind, language, texts.sample(kind, { at: requestedAt }))
  return { to: email, subject: `${TEST[language]}: ${subject}`, ...forms }
}

async function recipientOf(context: ComposeContext, request: MailRequest): Promise<Recipient | null> {
  const { email, kind, userId } = request
  // Goes to the address that the user had, whatever became of the account: someone else may have changed it since.
  if (kind === 'email_changed' || kind === 'notice')
    return { userId: userId ?? '', to: email, account: await accountOf(context, request) }
  const account = userId === null ? await ownerOf(context, request) : await accountOf(context, request)
  if (account?.status !== 'active') return null
  const recipient = { userId: account.userId, to: account.email, account }
  const hasAddress = emailKey(account.email) === emailKey(email)
  if (kind === 'email_change') return (await isTaken(context, request)) ? null : { ...recipient, to: email }
  if (!hasAddress || (kind === 'email_verification' && account.emailVerified)) return null
  return recipient
}

/** Whether another user has the address of a change. */
async function isTaken({ users }: ComposeContext, { email, requestId, userId }: MailRequest): Promise<boolean> {
  const user = await users.userByEmail(email, requestId)
  return user !== null && user.id !== userId
}

/** Finds the account that a mail is about. One that was dropped from the cache stays so: only a login fetches it again. */
async function accountOf(context: ComposeContext, request: MailRequest): Promise<Account | null> {
  const { userId } = request
  if (userId === null) return null
  const requester = requesterOf(context, request)
  const account = await context.store.accountById(userId)
  if (!account || account.cached) return account ?? cachedAccount(context, userId, requester)
  // What auth has stored of it may be out of date.
  const user = await context.users.user(userId, requester.requestId)
  if (!user) return null
  const { email, email_verified: emailVerified, locale, name, status } = user
  return { ...account, email, emailVerified, status, profile: { ...account.profile, locale, name } }
}

/** Finds the account that an address belongs to, in the cache or in users. */
async function ownerOf(context: ComposeContext, request: MailRequest): Promise<Account | null> {
  const { store, users } = context
  const { email, requestId } = request
  const account = await store.accountByEmail(email)
  if (account?.cached) return account
  const user = await users.userByEmail(email, requestId)
  // Cached before the link is created: storing a user's first record voids their links.
  return user && cachedAccount(context, user.id, requesterOf(context, request))
}

/** Returns who requested a mail, for the audit. */
function requesterOf({ random }: ComposeContext, { ip, requestId }: MailRequest) {
  return { actor: 'anyone', ip, requestId: requestId ?? random.id() }
}

function localeOf({ account }: Recipient): Locale | null {
  return (account?.profile.locale as Locale | null | undefined) ?? null
}

async function valuesOf(
  context: ComposeContext,
  request: MailRequest,
  { account, userId }: Recipient,
): Promise<MailValues | null> {
  const { data, ip, kind, requestedAt } = request
  const name = (account?.profile.name as string | null | undefined) ?? null
  // A link that an operator had sent again works from then on; what happened, happened when it was requested.
  const at = (HAPPENED.has(kind) ? undefined : data.retriedAt) ?? requestedAt
  const values: MailValues = { name, email: request.email, at, ip, userAgent: data.userAgent ?? null }
  if (data.cause !== undefined) values.cause = data.cause
  const challenge = CHALLENGES[kind]
  if (!challenge || !hasChallenge(request)) return values
  const issued = await issue(context, request, challenge.purpose, userId)
  if (!issued) return null
  if (challenge.page !== undefined) {
    values.link = `${context.config.publicUrl}/${challenge.page}?token=${issued.token}`
    values.expiresAt = issued.expiresAt
  }
  if (issued.codeExpiresAt !== null) {
    values.code = issued.code
    values.codeExpiresAt = issued.codeExpiresAt
    values.expiresAt ??= issued.codeExpiresAt
  }
  return values
}

/** Makes the code and the link of a mail valid. @returns null when they are no longer useful */
async function issue(context: ComposeContext, request: MailRequest, purpose: MailedPurpose, userId: string) {
  const { challengeCodes, clock, store } = context
  const { id: mailId } = request
  const [first] = secretsOf(challengeCodes, mailId)
  if (!first) return null
  const now = clock.now()
  const { link } = LIFETIMES[purpose]
  // A request that names the user was made by auth: the audit has a row of whoever caused it.
  const requester = { ...requesterOf(context, request), ...(request.userId === null ? {} : { actor: 'auth' }) }
  const event = purpose === 'password_reset' ? auditEvent(context, requester, 'password.reset_requested', userId) : null
  const challenge = await store.issueChallenge(
    {
      mailId,
      userId,
      tokenHash: first.tokenHash,
      expiresAt: now + link,
      isOnlyOne: ONLY_ONE.includes(purpose),
    },
    now,
    event,
  )
  // If CH202_SECRET was replaced after the first attempt, the secrets were derived from an older one.
  const secrets = challenge && mailedSecrets(challengeCodes, challenge)
  return secrets ? { ...secrets, expiresAt: challenge.expiresAt, codeExpiresAt: challenge.codeExpiresAt } : null
}
