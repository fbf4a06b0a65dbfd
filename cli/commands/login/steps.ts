import { version } from '../../../package.json'
import type { ServiceName } from '../../../services/registry.ts'
import type { Api } from '../../client/api.ts'
import { isWrongCode, problemIn } from '../../client/responses.ts'
import type { Tokens } from '../../client/session.ts'
import { EXIT, Failure } from '../../exit.ts'
import { acceptedCode, askText, codeQuestion } from '../../terminal/codes.ts'
import { quoted } from '../../terminal/shell.ts'
import { canAsk } from '../../terminal/terminal.ts'
import { enrolApp, type LoginSteps } from './enrolment.ts'

export interface Credentials {
  email: string
  password: string
  device_token?: string
}

export type OpenedTokens = Tokens & { device_token?: string }

/** A login that waits for its next step. */
interface Step {
  code: string
  challengeId: string
  methods: unknown[]
}

/** Tells whoever runs a script which login has no further step. */
const FOR_SCRIPTS = 'Scripts use an operator key (OPERATOR_API_KEY)'

/**
 * Logs in, step by step: a code for a new device, the code of a second factor, or the first app of an account that must
 * have one.
 * @throws Failure for a wrong password or code, for a step that nobody can be asked for, and for a server that is not auth
 */
export async function openSession(
  api: Api,
  addresses: Record<ServiceName, string>,
  credentials: Credentials,
): Promise<OpenedTokens> {
  const { email } = credentials
  const login: LoginSteps = {
    api,
    addresses,
    email,
    again: `ch202 login ${quoted(addresses.auth)} --email ${quoted(email)}`,
    send: (path, body) =>
      api.fetch('auth', `/api/v1/auth/${path}`, {
        method: 'POST',
        anonymous: true,
        headers: { 'content-type': 'application/json', 'user-agent': `ch202/${version}` },
        body: JSON.stringify(body),
      }),
  }
  let answer = await login.send('login', credentials)
  for (let step = await stepOf(answer); step; step = await stepOf(answer)) answer = await takeStep(login, step)
  await api.refuseProblem('auth', answer)
  const tokens = (await answer.json().catch(() => ({}))) as OpenedTokens
  if (!tokens.access_token) throw api.notOurService('auth')
  return tokens
}

/** The step that an answer asks for; undefined for any other answer. */
async function stepOf(answer: Response): Promise<Step | undefined> {
  if (answer.status !== 403) return undefined
  const { challenge_id: challengeId, code, methods } = (await problemIn(answer)) ?? {}
  if (typeof challengeId !== 'string' || code === undefined || !(code in MISSING_TERMINAL)) return undefined
  return { code, challengeId, methods: Array.isArray(methods) ? methods : [] }
}

/** Says what to do about each step where nobody can be asked. */
const MISSING_TERMINAL: Record<string, (login: LoginSteps) => string> = {
  device_confirmation_required: () =>
    'This device is new: a code was emailed, which only a terminal can ask for. Log in once in a terminal',
  second_factor_required: () =>
    `The account has a second factor, for whose code only a terminal can ask: log in in a terminal. ${FOR_SCRIPTS}`,
  second_factor_enrolment_required: ({ addresses }) =>
    `The account must have a second factor: add one at ${addresses.web}/sign-in, or log in in a terminal. ${FOR_SCRIPTS}`,
}

async function takeStep(login: LoginSteps, { challengeId, code, methods }: Step): Promise<Response> {
  const { again, email, send } = login
  if (!canAsk()) throw missingTerminal(login, code)
  if (code === 'second_factor_enrolment_required') return enrolApp(login, challengeId)
  if (code === 'device_confirmation_required')
    return send('device-confirm', { challenge_id: challengeId, code: await askText(`Code in the email to ${email}`) })
  const codes = { app: methods.includes('totp'), recoveryCode: methods.includes('recovery_code') }
  const sendCode = async (typed: string) => {
    const answer = await send('second-factor', { challenge_id: challengeId, code: typed })
    return (await isWrongCode(answer)) ? undefined : answer
  }
  return acceptedCode(codeQuestion(codes, again), askText, sendCode, again)
}

function missingTerminal(login: LoginSteps, code: string): Failure {
  const message = MISSING_TERMINAL[code]?.(login) ?? ''
  return new Failure(EXIT.notLoggedIn, message, { code, suggestion: login.again })
}
