import { asciiHost } from './smtp-url.ts'

export interface DatabaseUrl {
  host: string
  port: number
  database: string
}

const EXAMPLE = 'postgres://ch202:password@127.0.0.1:5432/ch202'
const ENCODING = 'in a password, write @ as %40, / as %2F, ? as %3F, # as %23 and % as %25'
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

interface Option {
  /** The values, in words. */
  describes: string
  allows(value: string): boolean
}

/** The options that the driver and the server understand, and `prepare`, which is off behind a pooler. */
const OPTIONS: Record<string, Option> = {
  sslmode: { describes: `one of ${SSL_MODES.join(', ')}`, allows: (value) => SSL_MODES.includes(value) },
  application_name: {
    describes: '1 to 40 letters, digits, dots, colons, dashes and underscores',
    allows: (value) => /^[\w.:-]{1,40}$/.test(value),
  },
  prepare: { describes: 'true or false', allows: (value) => /^(true|false)$/.test(value) },
}

/**
 * Reads `postgres://` with a host, a database and, optionally, a port, a user with a password, and options. The driver
 * takes one host: a balancer or a virtual address stands before several.
 * @returns the database, or the fault as text without any part of the address, because that may hold a password
 */
export function readDatabaseUrl(address: string): DatabaseUrl | string {
  const url = URL.parse(address)
  if (!url) return `must be one address such as ${EXAMPLE}; ${ENCODING}`
  if (!/^postgres(ql)?:$/.test(url.protocol)) return `must begin with postgres://, as in ${EXAMPLE}`
  const host = asciiHost(url.hostname)
  if (host === undefined) return `must name a host (not a socket's directory), as in ${EXAMPLE}; ${ENCODING}`
  if (url.port === '0') return 'must have a port from 1 to 65535'
  // An unencoded /, ? or # in a password ends the password there.
  const name = /^\/([^/@]+)$/.exec(url.pathname)?.[1]
  if (name === undefined || url.hash) return `must end with the name of the database, as in ${EXAMPLE}; ${ENCODING}`
  const [database, ...account] = [name, url.username, url.password].map(decoded)
  if (database === undefined || account.includes(undefined)) return `must be encoded; ${ENCODING}`
  const fault = optionsFault(url.searchParams)
  return fault ?? { host, port: Number(url.port || 5432), database }
}

function optionsFault(options: URLSearchParams): string | undefined {
  for (const [name, value] of options) {
    const option = OPTIONS[name]
    if (!option) return `must have no options but ${Object.keys(OPTIONS).join(', ')}`
    if (!option.allows(value)) return `must have an option ${name} that is ${option.describes}`
  }
  return undefined
}

/** @returns undefined for a % that encodes nothing */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
