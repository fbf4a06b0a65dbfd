import { addressSetting } from '../../services/kit/process/service-address.ts'
import { ofEachService, SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import { freePort } from './servers/ports.ts'

export type Name = ServiceName

/** Whether the services share a process and one address, or each has its own. The contract is the same in both. */
export type Layout = 'together' | 'apart'
export const LAYOUTS: readonly Layout[] = ['together', 'apart']

export const INTERNAL_KEY = 'internal-key-of-the-tests-0123456789abcdef'
export const OPERATOR_KEY = 'operator-key-of-the-tests-0123456789abcdef'
/** `CH202_SECRET`, which seals the keys and secrets in the database. */
export const SECRET = 'secret-of-the-tests-0123456789-0123456789abc'

/** The address setting of each service, such as `AUTH_URL`. */
export function addressSettings(of: (name: Name) => string): Record<string, string> {
  return Object.fromEntries(SERVICE_NAMES.map((name) => [addressSetting(name), of(name)]))
}

interface Addresses {
  /** The address of the process that serves everything. */
  all: string
  url: Record<Name, string>
}

/** Free addresses: one for everything, and in the layout `apart` one for each service too. */
export function newAddresses(layout: Layout): Addresses {
  const address = () => `http://127.0.0.1:${freePort()}`
  const all = address()
  return { all, url: ofEachService(() => (layout === 'together' ? all : address())) }
}

/** The settings of every instance in the tests: its data directory, its addresses, its keys, and cheap hashes. */
export function instanceSettings(dataDir: string, { all, url }: Addresses) {
  return {
    CH202_ENV: 'test',
    CH202_DATA_DIR: dataDir,
    CH202_URL: all,
    ...addressSettings((name) => url[name]),
    INTERNAL_API_KEY: INTERNAL_KEY,
    OPERATOR_API_KEY: OPERATOR_KEY,
    CH202_SECRET: SECRET,
    BCRYPT_COST: '4',
  }
}

/** The settings of a `System`, with `env` in place of those that it names. */
export function systemSettings(dataDir: string, addresses: Addresses, env: Record<string, string> = {}) {
  return { ...instanceSettings(dataDir, addresses), PUBLIC_URL: 'https://app.example.org', ...env }
}
