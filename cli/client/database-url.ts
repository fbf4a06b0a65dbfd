import { readDatabaseUrl } from '../../services/kit/process/database-url.ts'
import { usage } from '../exit.ts'
import { databaseUrlOf, type Environment } from './settings.ts'

/**
 * The address in DATABASE_URL; undefined: the data is in files.
 * @throws Failure that does not quote it, if it is not valid
 */
export function checkedDatabaseUrl(env: Environment): string | undefined {
  const url = databaseUrlOf(env)
  return url === undefined ? undefined : checkedAddress(url, 'DATABASE_URL')
}

/** @param origin where the address comes from, for the message. @throws Failure that does not quote the address */
export function checkedAddress(address: string, origin: string): string {
  const fault = readDatabaseUrl(address)
  if (typeof fault === 'string') throw usage(`${origin} ${fault}`)
  return address
}

/**
 * Reads the address of an option: itself, or for `-` a line of standard input. Every user of the machine can read the
 * arguments of a process, and an address may have a password.
 * @param suggestion a command that gives standard input @throws Failure if standard input is empty
 */
export async function addressText(option: string, suggestion: string): Promise<string> {
  if (option !== '-') return option
  const text = (await Bun.stdin.text()).trim()
  if (text === '') throw usage('Standard input has no address', suggestion)
  return text
}
