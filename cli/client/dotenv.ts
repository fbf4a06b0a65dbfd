import { existsSync, readFileSync } from 'node:fs'
import { compiled } from '../executable.ts'
import { EXIT, Failure } from '../exit.ts'
import { isInOwnCheckout } from './trust.ts'

const MODES = ['', '.development', '.production', '.test']
/** The files of the working directory that Bun puts into the environment before a program begins. */
const FILES = MODES.flatMap((mode) => [`.env${mode}`, `.env${mode}.local`])
/** What the process was started with, on Linux. */
const AT_START = '/proc/self/environ'

/**
 * Takes out of the environment what Bun has read from a `.env` of the working directory, where that is not the checkout
 * of the tool: whoever can write there could otherwise have keys sent to an address of theirs. The executable reads none,
 * and an operator who names a file by `bun --env-file` means it.
 * @throws Failure where there is such a file, and the system does not say what it has changed
 */
export function forgetForeignDotenv(env: Record<string, string | undefined>): void {
  if (compiled || process.execArgv.some((word) => word.startsWith('--env-file'))) return
  const file = FILES.find((name) => existsSync(name))
  if (file === undefined || process.execArgv.includes('--no-env-file') || isInOwnCheckout()) return
  const names = namesAtStart()
  if (names === undefined)
    throw new Failure(EXIT.usage, `Bun has read ${file} of this directory, which is not the checkout of ch202`, {
      code: 'foreign_dotenv',
      suggestion: 'bun --no-env-file <checkout>/cli/main.ts',
    })
  for (const name of Object.keys(env)) if (!names.has(name)) delete env[name]
}

function namesAtStart(): Set<string> | undefined {
  try {
    const lines = readFileSync(AT_START, 'utf8').split('\0')
    return new Set(lines.map((line) => line.slice(0, line.indexOf('='))))
  } catch {
    return undefined
  }
}
