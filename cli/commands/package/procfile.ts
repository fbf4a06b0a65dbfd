import { readFileSync } from 'node:fs'
import { isForeign } from '../../client/trust.ts'
import { compiled, inCheckout } from '../../executable.ts'
import { EXIT, Failure } from '../../exit.ts'
import { type Line, parseProcfile } from '../../runner/runner.ts'
import { quoted } from '../../terminal/shell.ts'

/** The text of the Procfile, which `package binary` puts here: a compiled tool has no file beside it. */
declare const BUILT_IN_PROCFILE: string | undefined

const OWN = /^(?:bun (?:\.\/)?cli\/main\.ts|(?:\.\/)?ch202)(?= |$)/

/**
 * The lines of the checkout's Procfile; of the compiled tool those of the one in the current directory, or else of the
 * one it was built with.
 */
export function procfileLines(): Line[] {
  return parseProcfile(procfile())
}

function procfile(): string {
  // Its lines are run with every key in their environment.
  if (compiled && isForeign('Procfile'))
    throw new Failure(EXIT.failed, 'The Procfile of this directory belongs to another user, or others may write it', {
      code: 'foreign_procfile',
      suggestion: 'cd to a directory of your own',
    })
  try {
    return readFileSync(compiled ? 'Procfile' : inCheckout('Procfile'), 'utf8')
  } catch {
    if (typeof BUILT_IN_PROCFILE === 'string') return BUILT_IN_PROCFILE
    throw new Failure(EXIT.failed, 'There is no Procfile beside the program', { suggestion: 'ch202 serve' })
  }
}

/**
 * The arguments with which a line runs the tool itself; nothing where it runs another program.
 * @param command `bun cli/main.ts serve auth`, or `ch202 serve auth`
 */
export function ownArguments(command: string): string | undefined {
  return OWN.test(command) ? command.replace(OWN, '').trim() : undefined
}

/**
 * The line as a shell can run it here, whatever is on the PATH: what runs the tool is run by this executable, or by the
 * Bun that runs this checkout.
 */
export function runnable({ name, command }: Line): Line {
  const words = ownArguments(command)
  if (words === undefined) return { name, command }
  const tool = compiled ? quoted(process.execPath) : `${quoted(process.execPath)} cli/main.ts`
  return { name, command: `${tool} ${words}` }
}
