import { emailKey } from '../../services/kit/schema/email.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { canAsk } from './terminal.ts'

/**
 * Asks before an action that cannot be undone.
 * @param options `yes`: `--yes`; `confirm`: the value of `--confirm`, which must equal `name`
 * @throws Failure if nobody can be asked, `--confirm` has another name, or the answer is no
 */
export async function confirm(
  question: string,
  options: { yes?: boolean | undefined; confirm?: string | undefined; name?: string },
): Promise<void> {
  if (options.confirm !== undefined) {
    if (options.name !== undefined && emailKey(options.confirm) === emailKey(options.name)) return
    throw usage(`--confirm does not match: expected ${options.name}`)
  }
  if (options.yes) return
  if (!canAsk()) {
    const flags = options.name === undefined ? '--yes' : `--yes or --confirm ${options.name}`
    throw usage(`${question} This cannot be undone: confirm with ${flags}`)
  }
  if (!(await agrees(question))) throw new Failure(EXIT.failed, 'Nothing was changed', { code: 'declined' })
}

/** Asks a question in a terminal, to which the answer may be no. @throws Failure if the user cancels */
export async function agrees(question: string): Promise<boolean> {
  const { confirm: ask, isCancel } = await import('@clack/prompts')
  const answer = await ask({ message: question, initialValue: false })
  if (isCancel(answer)) throw new Failure(EXIT.interrupted, 'Cancelled', { code: 'cancelled' })
  return answer
}
