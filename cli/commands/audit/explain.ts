import { searchFor } from '../../client/search.ts'
import { EXIT, Failure } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import { quoted } from '../../terminal/shell.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Tool } from '../../tool/command.ts'
import { flags } from '../../tool/lists.ts'
import { UUID, userOf } from '../../tool/refs.ts'
import { accountOf, cacheEntryNamed, failedLoginsAs, loginLimitsOf, type Subject } from './account.ts'
import { type Explanation, evidenceOf, from, isInFuture, refusedRow, times } from './explanation.ts'
import { explainRequest } from './request.ts'
import { similarNames } from './suggestions.ts'
import { verdictOf } from './verdict.ts'

/** Maximum length of a login name, in characters. */
const NAME_MAX = 254

/**
 * Explains why a login failed, with the command that fixes it.
 * @param text an email, a username, a user id or a request id
 * @throws Failure if there is neither such a user nor such a request
 */
export async function explain(tool: Tool, text: string): Promise<Explanation> {
  const subject = text.trim()
  const user = await findSubject(tool, subject)
  if (user === 'unavailable') return usersUnavailable(subject)
  if (user) return verdictOf(await accountOf(tool, user))
  if (!subject.includes('@')) {
    const request = await explainRequest(tool, subject)
    if (request) return request
  }
  return await explainUnknownName(tool, subject)
}

/** Finds the user, in auth's cache if the users service is unreachable; `unavailable` if they may exist all the same. */
async function findSubject(tool: Tool, subject: string): Promise<Subject | 'unavailable' | undefined> {
  try {
    return await userOf(tool, subject)
  } catch (error) {
    const { exit } = asFailure(error)
    if (exit === EXIT.notFound) return undefined
    if (exit !== EXIT.tryAgain) throw error
  }
  if (UUID.test(subject)) return undefined
  const entry = await cacheEntryNamed(tool, subject)
  if (entry) return { ...entry, id: entry.user_id, updated_at: null }
  return subject.includes('@') ? 'unavailable' : undefined
}

function usersUnavailable(subject: string): Explanation {
  return {
    reason: 'users_unavailable',
    explanation: `The users service does not respond, and ${subject} is not in auth's cache: users who are not in the cache cannot log in until the users service is back.`,
    suggestion: 'ch202 health',
    evidence: [],
  }
}

/** Explains failed logins with a name that no user has. */
async function explainUnknownName(tool: Tool, subject: string): Promise<Explanation> {
  const notFound = new Failure(EXIT.notFound, `There is no user and no request ${subject}`, {
    code: 'not_found',
    suggestion: `ch202 logs --request-id ${quoted(subject)}`,
  })
  // Anything that cannot be an email or a username cannot be a login name either.
  if (UUID.test(subject) || subject.length > NAME_MAX || !/^([\w.-]{3,32}|[^@\s]+@[^@\s]+)$/.test(subject))
    throw notFound
  const isEmail = subject.includes('@')
  const [entry, { failures, lastFailedAt, lockedUntil, refused }, failed, similar] = await Promise.all([
    cacheEntryNamed(tool, subject),
    loginLimitsOf(tool, { email: subject, username: null }),
    isEmail ? failedLoginsAs(tool, subject) : [],
    similarNames(tool, subject),
  ])
  if (entry)
    return {
      reason: 'cache_behind',
      explanation: `Auth's cache is out of date: it has a user ${subject} who no longer exists.`,
      suggestion: `ch202 cache sync --user ${entry.user_id}`,
      evidence: [{ ...entry }],
    }
  if (!isEmail && failures === 0 && similar.length === 0) throw notFound
  const [last] = failed
  const at = last?.at ?? lastFailedAt
  const tried =
    at === null
      ? ''
      : ` Someone tried to log in ${times(Math.max(failures, failed.length))}, last at ${toTheSecond(at)}${from(last?.ip ?? null)}.`
  const lockout = isInFuture(lockedUntil) ? ` Logins are locked until ${toTheSecond(lockedUntil)}.` : ''
  const didYouMean = similar.length === 0 ? '' : ` Did you mean ${similar.join(' or ')}?`
  return {
    reason: 'no_such_user',
    explanation: `There is no user ${subject}.${tried}${lockout}${didYouMean}`,
    suggestion: fixFor(subject, similar[0]),
    evidence: [...refused.slice(0, 3).map(refusedRow), ...evidenceOf(failed)].slice(0, 10),
  }
}

function fixFor(subject: string, mostSimilar: string | undefined): string {
  if (mostSimilar !== undefined) return `ch202 audit explain ${quoted(mostSimilar)}`
  if (subject.includes('@')) return `ch202 users create ${quoted(subject)} --generate`
  return `ch202 users list ${flags({ search: searchFor(subject) })
    .map(quoted)
    .join(' ')}`
}
