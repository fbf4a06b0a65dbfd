import { existsSync, readFileSync } from 'node:fs'
import { compiled } from '../executable.ts'
import { EXIT, Failure } from '../exit.ts'
import { isInOwnCheckout } from './trust.ts'

const MODES = ['', '.development', '.production', '.test']
/** The files in the working directory that Bun loads into the environment before a program starts. */
const FILES = MODES.flatMap((mode) => [`.env${mode}`, `.env${mode}.local`])
/** The environment that the process was started with, on Linux. */
const INITIAL_ENVIRONMENT = '/proc/self/environ'

/**
 * Removes from the environment what Bun has read from a `.env` file in the working directory, unless that is the tool's
 * own checkout: anyone who can write there could otherwise redirect keys to their own address. The executable reads no
 * such file, and a file named with `bun --env-file` is intended.
 * @throws Failure if there is such a file and the original environment is unknown
 */
export function removeForeignDotenv(env: Record<string, string | undefined>): void {
  if (compiled || process.execArgv.some((word) => word.startsWith('--env-file'))) return
  const file = FILES.find((name) => existsSync(name))
  if (file === undefined || process.execArgv.includes('--no-env-file') || isInOwnCheckout()) return
  const names = initialNames()
  if (names === undefined)
    throw new Failure(EXIT.usage, `Bun has loaded ${file} from this directory, which is not the checkout of ch202`, {
      code: 'foreign_dotenv',
      suggestion: 'bun --no-env-file <checkout>/cli/main.ts',
    })
  for (const name of Object.keys(env)) if (!names.has(name)) delete env[name]
}

function initialNames(): Set<string> | undefined {
  try {
    const lines = readFileSync(INITIAL_ENVIRONMENT, 'utf8').split('\0')
    return new Set(lines.map((line) => line.slice(0, line.indexOf('='))))
  } catch {
    return undefined
  }
}
