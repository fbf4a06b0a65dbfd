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
