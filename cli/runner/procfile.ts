import { readFileSync } from 'node:fs'
import { isForeign } from '../client/trust.ts'
import { compiled, inCheckout } from '../executable.ts'
import { EXIT, Failure } from '../exit.ts'
import { quoted } from '../terminal/shell.ts'
import { type Line, parseProcfile } from './runner.ts'

/** The Procfile, which `ch202 package binary` compiles in, since the executable has no files beside it. */
declare const BUILT_IN_PROCFILE: string | undefined

const TOOL_COMMAND = /^(?:bun (?:\.\/)?cli\/main\.ts|(?:\.\/)?ch202)(?= |$)/

/**
 * Reads the checkout's Procfile. The executable reads the one in the current directory, or else the one it was built
 * with.
 */
export function procfileLines(): Line[] {
  return parseProcfile(procfile())
}

function procfile(): string {
  // The commands in a Procfile run with all keys in their environment.
  if (compiled && isForeign('Procfile'))
    throw new Failure(
      EXIT.failed,
      'The Procfile in this directory belongs to another user, or others can write to it',
      {
        code: 'foreign_procfile',
        suggestion: 'cd to a directory of your own',
      },
    )
  try {
    return readFileSync(compiled ? 'Procfile' : inCheckout('Procfile'), 'utf8')
  } catch {
    if (typeof BUILT_IN_PROCFILE === 'string') return BUILT_IN_PROCFILE
    throw new Failure(EXIT.failed, 'There is no Procfile beside the program', { suggestion: 'ch202 serve' })
  }
}

/**
 * The arguments of a line that runs this tool; undefined if it runs another program.
 * @param command `bun cli/main.ts serve auth`, or `ch202 serve auth`
 */
export function toolArguments(command: string): string | undefined {
  return TOOL_COMMAND.test(command) ? command.replace(TOOL_COMMAND, '').trim() : undefined
}

/**
 * Replaces the tool in a line by this executable, or by the Bun and checkout that it runs from, so that the line does not
 * depend on the PATH.
 */
export function runnable({ name, command }: Line): Line {
  const words = toolArguments(command)
  if (words === undefined) return { name, command }
  const tool = compiled ? quoted(process.execPath) : `${quoted(process.execPath)} cli/main.ts`
  return { name, command: `${tool} ${words}` }
}
