import { asciiHost } from './smtp-url.ts'

export interface DatabaseUrl {
  host: string
  port: number
  database: string
}

const EXAMPLE = 'postgres://ch202:password@127.0.0.1:5432/ch202'
/** The options that the driver and the server understand, and `prepare`, which is off behind a pooler. */
const OPTIONS = new Set(['sslmode', 'application_name', 'prepare'])

/**
 * Reads `postgres://` with a host, a database and, optionally, a port, a user with a password, and options. The driver
 * takes one host: a balancer or a virtual address stands before several.
 * @returns the database, or the fault as text without any part of the address, because that may hold a password
 */
export function readDatabaseUrl(address: string): DatabaseUrl | string {
  const url = URL.parse(address)
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) return `must be one address such as ${EXAMPLE}`
  const host = asciiHost(url.hostname)
  if (host === undefined) return `must name a host, such as ${EXAMPLE}`
  if (url.port === '0') return 'must have a port from 1 to 65535'
  const database = /^\/([^/]+)$/.exec(url.pathname)?.[1]
  // An unencoded /, ? or # in a password ends the password there.
  if (database === undefined || url.hash)
    return `must end with the name of the database, such as ${EXAMPLE}: encode / as %2F, ? as %3F and # as %23 in a password`
  const unknown = [...url.searchParams.keys()].find((name) => !OPTIONS.has(name))
  if (unknown !== undefined) return `must have no options but ${[...OPTIONS].join(', ')}`
  return { host, port: Number(url.port || 5432), database: decodeURIComponent(database) }
}
