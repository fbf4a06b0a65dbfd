import { searchFor } from '../../client/search.ts'
import { EXIT, Failure } from '../../exit.ts'
import { asFailure } from '../../terminal/output.ts'
import { quoted } from '../../terminal/shell.ts'
import { toTheSecond } from '../../terminal/times.ts'
import type { Tool } from '../../tool/command.ts'
import { flags } from '../../tool/lists.ts'
import { UUID, userOf } from '../../tool/refs.ts'
import { accountOf, cacheEntryNamed, failedAs, type Subject, troubleOf } from './account.ts'
import { type Explanation, evidenceOf, from, isAhead, refusedRow, times } from './explanation.ts'
import { explainRequest } from './request.ts'
import { nearNames } from './suggestions.ts'
import { verdictOf } from './verdict.ts'

/** Characters that a login may have. */
const NAME_MOST = 254

/**
 * Why a login failed, and the command that mends it.
 * @param typed an email, a username, the id of a user or that of a request
 * @throws Failure where neither a user nor a request is called so
 */
export async function explain(tool: Tool, typed: string): Promise<Explanation> {
  const word = typed.trim()
  const user = await subjectOf(tool, word)
  if (user === 'away') return withoutUsers(word)
  if (user) return verdictOf(await accountOf(tool, user))
  if (!word.includes('@')) {
    const request = await explainRequest(tool, word)
    if (request) return request
  }
  return await stranger(tool, word)
}

/** With users away, whom auth knows by that name. */
async function subjectOf(tool: Tool, word: string): Promise<Subject | 'away' | undefined> {
  try {
    return await userOf(tool, word)
  } catch (error) {
    const { exit } = asFailure(error)
    if (exit === EXIT.notFound) return undefined
    if (exit !== EXIT.tryAgain) throw error
  }
  if (UUID.test(word)) return undefined
  const entry = await cacheEntryNamed(tool, word)
  if (entry) return { ...entry, id: entry.user_id, updated_at: null }
  return word.includes('@') ? 'away' : undefined
}

function withoutUsers(word: string): Explanation {
  return {
    reason: 'users_unavailable',
    explanation: `The users service does not answer, and auth holds no record of its own of ${word}: who is not in its cache can't log in until users is back.`,
    suggestion: 'ch202 health',
    evidence: [],
  }
}

/** Of a name that no user has. */
async function stranger(tool: Tool, word: string): Promise<Explanation> {
  const unknown = new Failure(EXIT.notFound, `There is no user and no request ${word}`, {
    code: 'not_found',
    suggestion: `ch202 logs --request-id ${quoted(word)}`,
  })
  // What is no name of anyone's is no login either.
  if (UUID.test(word) || word.length > NAME_MOST || !/^([\w.-]{3,32}|[^@\s]+@[^@\s]+)$/.test(word)) throw unknown
  const isEmail = word.includes('@')
  const [held, { failures, lastFailedAt, pausedUntil, refused }, failed, near] = await Promise.all([
    cacheEntryNamed(tool, word),
    troubleOf(tool, { email: word, username: null }),
    isEmail ? failedAs(tool, word) : [],
    nearNames(tool, word),
  ])
  if (held)
    return {
      reason: 'cache_behind',
      explanation: `Auth is behind: it holds a user ${word} that the users service does not know.`,
      suggestion: `ch202 cache sync --user ${held.user_id}`,
      evidence: [{ ...held }],
    }
  if (!isEmail && failures === 0 && near.length === 0) throw unknown
  const [last] = failed
  const at = last?.at ?? lastFailedAt
  const tried =
    at === null
      ? ''
      : ` A login was tried ${times(Math.max(failures, failed.length))}, last at ${toTheSecond(at)}${from(last?.ip ?? null)}.`
  const pause = isAhead(pausedUntil) ? ` Further ones are paused until ${toTheSecond(pausedUntil)}.` : ''
  const mean = near.length === 0 ? '' : ` Did you mean ${near.join(' or ')}?`
  return {
    reason: 'no_such_user',
    explanation: `There is no user ${word}.${tried}${pause}${mean}`,
    suggestion: mendOf(word, near[0]),
    evidence: [...refused.slice(0, 3).map(refusedRow), ...evidenceOf(failed)].slice(0, 10),
  }
}

function mendOf(word: string, nearest: string | undefined): string {
  if (nearest !== undefined) return `ch202 audit explain ${quoted(nearest)}`
  if (word.includes('@')) return `ch202 users create ${quoted(word)} --generate`
  return `ch202 users list ${flags({ search: searchFor(word) })
    .map(quoted)
    .join(' ')}`
}
