import { EXIT, exitOf, Failure } from '../exit.ts'
import { acceptedCode, codeQuestion } from '../terminal/codes.ts'
import { quoted } from '../terminal/shell.ts'
import type { Context } from './contexts.ts'
import { type RequestOptions, request } from './requests.ts'
import { isWrongCode } from './responses.ts'

/** Asks whoever has a session. @throws Failure if they cancel */
export interface Ask {
  password(question: string): Promise<string>
  code(question: string): Promise<string>
}

/** Why a token was refused: its login is too old, or it shows no second factor. */
export type MissingProof = 'recent' | 'second factor'

type Account = Pick<Context, 'auth' | 'email' | 'name'>
type Renewed = { access_token: string; expires_in: number }
type Options = RequestOptions & { ask: Ask | undefined }

/**
 * Proves again who has a session: by their password, or by a code if the account has a second factor.
 * @param token the access token of the session
 * @returns the new access token; undefined without a response
 * @throws Failure if nobody can be asked, or the proof is refused
 */
export async function newProof(
  account: Account,
  token: string,
  missing: MissingProof,
  { ask, ...options }: Options,
): Promise<Renewed | undefined> {
  const { auth, email } = account
  const codes = await codesOf(auth, token, options)
  if (!codes && missing === 'second factor') throw factorNeeded(account)
  if (!ask) throw recentLoginNeeded(account, codes !== null)
  const again = logInAgain(account)
  const send = (body: object) => reauthenticate(auth, token, body, options)
  const answer = codes
    ? await acceptedCode(`This needs a recent login. ${codeQuestion(codes, again)}`, ask.code, sendCode(send), again)
    : await send({ password: await ask.password(`This needs a recent login. Password of ${email}`) })
  if (answer === 'no response') return undefined
  const body = (await answer.json().catch(() => ({}))) as Partial<Renewed> & { code?: string; message?: string }
  const {
    access_token,
    code = 'unreachable',
    expires_in,
    message = `No login at ${auth}: status ${answer.status}`,
  } = body
  if (answer.ok && access_token && expires_in !== undefined) return { access_token, expires_in }
  throw new Failure(exitOf(answer.status), message, { code, suggestion: again })
}

type Answer = Response | 'no response'

/** Sends a code; undefined if it was wrong. */
function sendCode(send: (body: object) => Promise<Answer>) {
  return async (code: string) => {
    const answer = await send({ code })
    return answer !== 'no response' && (await isWrongCode(answer)) ? undefined : answer
  }
}

async function reauthenticate(auth: string, token: string, body: object, options: RequestOptions): Promise<Answer> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  }
  return await request(`${auth}/api/v1/auth/reauthenticate`, init, options).catch(() => 'no response' as const)
}

/** The codes that the account of a session can answer with; null: it has no second factor, or auth does not say. */
async function codesOf(auth: string, token: string, options: RequestOptions) {
  const init = { headers: { authorization: `Bearer ${token}` } }
  const answer = await request(`${auth}/api/v1/auth/factors`, init, options).catch(() => undefined)
  if (!answer?.ok) return null
  const { items = [], recovery_codes_left = 0 } = (await answer.json().catch(() => ({}))) as {
    items?: { kind: string }[]
    recovery_codes_left?: number
  }
  if (items.length === 0) return null
  return { app: items.some(({ kind }) => kind === 'totp'), recoveryCode: recovery_codes_left > 0 }
}

function logInAgain({ auth, email, name }: Account): string {
  return `ch202 login ${quoted(auth)} --email ${quoted(email)} --name ${name}`
}

/** The failure for a call that needs a new proof, where nobody can be asked for it. */
function recentLoginNeeded(account: Account, hasFactor: boolean): Failure {
  return new Failure(
    EXIT.notLoggedIn,
    hasFactor
      ? 'This needs a recent login with the second factor: run the command in a terminal, or use the operator key'
      : 'The last login is too old for this: log in again, run the command in a terminal, or use the operator key',
    {
      code: 'reauthentication_required',
      suggestion: `${logInAgain(account)}${hasFactor ? '' : ' --password-stdin'}`,
    },
  )
}

/** The failure for an account that must have a second factor, and has none yet: a login adds it. */
function factorNeeded(account: Account): Failure {
  return new Failure(
    EXIT.notLoggedIn,
    `This needs a second factor, and ${account.email} has none: log in again to add one, or use the operator key`,
    { code: 'reauthentication_required', suggestion: logInAgain(account) },
  )
}
