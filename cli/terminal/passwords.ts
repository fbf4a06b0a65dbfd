import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { EXIT, Failure, usage } from '../exit.ts'
import { canAsk } from './terminal.ts'

export interface PasswordOptions {
  passwordStdin?: boolean
  generate?: boolean
}

/** 24 characters, 144 bits. */
const GENERATED_BYTES = 18

/** Adds the options for a new password. */
export function withPasswordOptions(command: Command): Command {
  return command
    .option('--password-stdin', 'read the password from standard input')
    .option('--generate', 'generate a password and print it once')
}

/**
 * Gets a new password the way the options say; never from an argument, which every process on the machine can read.
 * @throws Failure if no option says how and nobody can be asked
 */
export async function passwordOf({ generate, passwordStdin }: PasswordOptions): Promise<string> {
  if (generate && passwordStdin) throw usage('--generate and --password-stdin cannot be combined')
  if (generate) return randomBytes(GENERATED_BYTES).toString('base64url')
  if (passwordStdin) return await fromStdin()
  if (!canAsk()) throw usage('A password is needed: give --password-stdin or --generate')
  return await ask('Password')
}

/** Gets an existing password, which cannot be generated. @throws Failure as `passwordOf` */
export async function existingPassword({ passwordStdin }: PasswordOptions): Promise<string> {
  if (passwordStdin) return await fromStdin()
  if (!canAsk()) throw usage('A password is needed: give --password-stdin')
  return await ask('Password')
}

async function fromStdin(): Promise<string> {
  const [line = ''] = (await Bun.stdin.text()).split(/\r?\n/)
  if (line === '') throw usage('Standard input has no password', 'printf %s "$PASSWORD" | ch202 … --password-stdin')
  return line
}

/** Asks for a password on standard error, beside the output of a command. @throws Failure if the user cancels */
export function askPasswordBeside(message: string): Promise<string> {
  return ask(message, process.stderr)
}

async function ask(message: string, output: NodeJS.WriteStream = process.stdout): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts')
  const answer = await password({ message, output })
  if (isCancel(answer)) throw new Failure(EXIT.interrupted, 'Cancelled', { code: 'cancelled' })
  return answer
}
