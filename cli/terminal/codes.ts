import { EXIT, Failure } from '../exit.ts'

/** How often a command asks for a code: a session may allow more, but every wrong one counts as a failed login. */
const TRIES = 3

/** Asks a question. @throws Failure if the user cancels */
type AskCode = (question: string) => Promise<string>

/**
 * Asks for a code until one is accepted.
 * @param ask asks the question
 * @param send sends the code. @returns undefined if it was wrong
 * @throws Failure after three wrong ones; what `send` throws
 */
export async function acceptedCode<Answer>(
  question: string,
  ask: AskCode,
  send: (code: string) => Promise<Answer | undefined>,
  suggestion: string,
): Promise<Answer> {
  for (let tries = 0; tries < TRIES; tries++) {
    const hint = tries === 0 ? '' : 'Wrong, or used before. '
    const answer = await send(await ask(hint + question))
    if (answer !== undefined) return answer
  }
  throw new Failure(EXIT.notLoggedIn, `${TRIES} codes were wrong`, { code: 'invalid_code', suggestion })
}

/** Asks for a line of text. @throws Failure if the user cancels */
export async function askText(message: string, output: NodeJS.WriteStream = process.stdout): Promise<string> {
  const { isCancel, text } = await import('@clack/prompts')
  const answer = await text({ message, output })
  if (isCancel(answer)) throw new Failure(EXIT.interrupted, 'Cancelled', { code: 'cancelled' })
  return answer ?? ''
}

/** Asks for a code on standard error, beside the output of a command. @throws Failure as `askText` */
export function askCodeBeside(message: string): Promise<string> {
  return askText(message, process.stderr)
}

/** The codes that an account can answer with, beside a passkey, which only a browser has. */
export interface CodeMethods {
  app: boolean
  recoveryCode: boolean
}

/** The question for a code. @throws Failure if the account has passkeys alone */
export function codeQuestion({ app, recoveryCode }: CodeMethods, suggestion: string): string {
  if (app) return recoveryCode ? 'Code of your app, or a recovery code' : 'Code of your app'
  if (recoveryCode) return 'Recovery code (a passkey works only in a browser)'
  throw new Failure(
    EXIT.notLoggedIn,
    'The account has only passkeys, which work in a browser: add an app on the pages, or use an operator key',
    { code: 'second_factor_required', suggestion },
  )
}
