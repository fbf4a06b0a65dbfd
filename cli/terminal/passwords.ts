import { randomBytes } from 'node:crypto'
import { EXIT, Failure, usage } from '../exit.ts'
import { canAsk } from './terminal.ts'

export interface PasswordOptions {
  passwordStdin?: boolean
  generate?: boolean
}

/** 24 characters, 144 bits. */
const GENERATED_BYTES = 18

/**
 * A password by the way that was chosen; never from an argument, which every process of the machine can read.
 * @throws Failure where no way was chosen and no one can be asked
 */
export async function passwordOf({ generate, passwordStdin }: PasswordOptions): Promise<string> {
  if (generate && passwordStdin) throw usage('--generate and --password-stdin exclude each other')
  if (generate) return randomBytes(GENERATED_BYTES).toString('base64url')
  if (passwordStdin) return await fromStdin()
  if (!canAsk()) throw usage('A password is needed: give --password-stdin or --generate')
  return await asked('Password')
}

/** A password that is there already: never generated. @throws Failure as `passwordOf` */
export async function passwordKnown({ passwordStdin }: PasswordOptions): Promise<string> {
  if (passwordStdin) return await fromStdin()
  if (!canAsk()) throw usage('A password is needed: give --password-stdin')
  return await asked('Password')
}

async function fromStdin(): Promise<string> {
  const [line = ''] = (await Bun.stdin.text()).split(/\r?\n/)
  if (line === '') throw usage('Standard input holds no password', 'printf %s "$PASSWORD" | ch202 … --password-stdin')
  return line
}

async function asked(message: string): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts')
  const typed = await password({ message })
  if (isCancel(typed)) throw new Failure(EXIT.interrupted, 'Cancelled', { code: 'cancelled' })
  return typed
}
