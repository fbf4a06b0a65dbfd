import { treaty } from '@elysiajs/eden'
import type { ProblemBody } from '../services/kit/problem.ts'
import type { UsersApi } from '../services/users/index.ts'
import { EXIT, exitOf, Failure } from './exit.ts'
import { addressOf, dataDirOf, knownEnvironment, type Place } from './settings.ts'

const PATIENCE = 30_000

/**
 * The typed client of the users service, as an operator.
 * @throws Failure where no operator key is to be found
 */
export function usersClient(env: NodeJS.ProcessEnv) {
  return treaty<UsersApi>(`${addressOf('users', env)}/api/v1`, {
    headers: { 'x-api-key': operatorKey(env) },
    parseDate: false,
    fetcher: ((url: string, init?: RequestInit) =>
      fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE) })) as typeof fetch,
  })
}

function operatorKey(env: NodeJS.ProcessEnv): string {
  const [key] = (knownEnvironment(env).OPERATOR_API_KEY ?? '').split(',')
  if (key?.trim()) return key.trim()
  throw new Failure(EXIT.notLoggedIn, `No operator key: neither OPERATOR_API_KEY nor ${dataDirOf(env)}/secrets.env`, {
    code: 'not_logged_in',
    suggestion: 'ch202 start',
  })
}

interface Answer<T> {
  data: T | null
  error: { value: unknown } | null
  status: number
}

/** A page of a proxy, say. An answer without content is none. */
function isText(body: unknown): boolean {
  return typeof body === 'string' && body !== ''
}

/**
 * What the API answered.
 * @param suggest the command that mends a problem, by its code
 * @throws Failure with the problem's text, code and request id
 */
export async function answerOf<T>(
  place: Place,
  env: NodeJS.ProcessEnv,
  call: Promise<Answer<T>>,
  suggest: (code: string) => string | undefined = () => undefined,
): Promise<T> {
  const address = addressOf(place, env)
  // It throws at what calls itself JSON and is none.
  const answer = await call.catch(() => undefined)
  if (answer?.error === null && !isText(answer.data)) return answer.data as T
  // What fetch threw: the client hands it on as if a server had said 503.
  if (answer?.error?.value instanceof Error)
    throw new Failure(EXIT.tryAgain, `The ${place} service does not answer at ${address}`, {
      code: 'unreachable',
      suggestion: 'ch202 start',
      retryable: true,
    })
  if (!answer?.error || isText(answer.error.value))
    throw new Failure(EXIT.tryAgain, `What answers at ${address} is not the ${place} service`, { code: 'unreachable' })
  const problem = answer.error.value as Partial<ProblemBody>
  const { code = 'unknown', message = `Status ${answer.status}`, requestId } = problem
  const suggestion = suggest(code)
  throw new Failure(exitOf(answer.status), [message].flat().join('; '), {
    code,
    retryable: answer.status === 429 || answer.status >= 500,
    ...(requestId === undefined ? {} : { requestId }),
    ...(suggestion === undefined ? {} : { suggestion }),
  })
}
