import { isIP } from 'node:net'
import { DAY, HOUR, MINUTE, SECOND } from '../clock.ts'
import { hasWildcardHost, hostOf } from '../outgoing.ts'
import { baseUrlFault, originFault } from './base-url.ts'
import { readSender } from './sender.ts'
import { addressSetting, defaultAddress, type NumberedService } from './service-address.ts'
import { readSmtpUrl } from './smtp-url.ts'

/** The settings from the environment: validated, and in the program's units (every duration in milliseconds). */
export interface Config<Name extends string = string> {
  production: boolean
  dataDir: string
  /** The base address of each service; auth is one of them. */
  addresses: { auth: string } & Record<Name, string>
  /** The base address of a process that serves all of them. */
  url: string
  /** The hosts of all addresses in the settings. Calls to them never go through a proxy. */
  hosts: string[]
  /** The base address of links in mails. */
  publicUrl: string
  /** Undefined: the base address of auth at its first start, which its database stores. */
  issuer: string | undefined
  audience: string
  jwtExpire: number
  refreshExpire: number
  refreshExpireV0: number
  refreshReuseGrace: number
  sessionMaxAge: number
  revocationMaxLag: number
  /** The age at which auth replaces the signing key by itself. */
  signingKeyMaxAge: number
  /** How long a new key is published before it signs. */
  signingKeyLead: number
  passwordMinLength: number
  passwordHash: 'bcrypt' | 'argon2id'
  bcryptCost: number
  hashQueue: number
  registrationOpen: boolean
  corsOrigins: string[]
  smtpUrl: string | undefined
  mailFrom: string
  /** The message broker that also receives events. */
  amqpUrl: string | undefined
  amqpExchange: string
  /** The first key is sent, all are accepted. */
  internalKeys: string[]
  operatorKeys: string[]
  /** The first secret encrypts, all decrypt. */
  secrets: string[]
  trustedProxies: string[]
  /** How long an idle connection is kept open. */
  idleTimeout: number
  rateLimit: boolean
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
  logFormat: 'json' | 'pretty'
  /** Whether pretty lines have colours. */
  logColor: boolean
}

/**
 * The environment variable that tells a process that a terminal shows its output, directly or through a parent: `color`,
 * or `plain` for a terminal without colours. Not a setting: the tool sets it for itself and for its child processes.
 */
export const ON_TERMINAL = 'CH202_ON_TERMINAL'

export type Environment = Record<string, string | undefined>

/** All faults of the settings, in one message. It stops a start. Its text never contains the value of a setting. */
export class ConfigError extends Error {
  constructor(readonly faults: string[]) {
    super(`The settings are not valid:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigError'
  }
}

const UNITS: Record<string, number> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY }
const SAMPLE_SECRET = /^(your[-_ ]|change[-_ ]?me|secret|example|sample|password|test|xxx)|^(.)\2*$/i
const SECRET_MIN_LENGTH = 32

/** Called with each setting's name and its default (undefined: none). */
type SettingListener = (name: string, fallback: string | undefined) => void

/** Every setting with its default, as `readConfig` reads them. @param services every service, by name */
export function settingDefaults(
  env: Environment,
  services: Record<string, NumberedService>,
): Map<string, string | undefined> {
  const defaults = new Map<string, string | undefined>()
  try {
    readConfig(env, services, (name, fallback) => defaults.set(name, fallback))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
  }
  return defaults
}

/**
 * Reads the settings of `contract.md` section 9.
 * @param env the environment, including the secrets of `secrets.env`
 * @param services every service, by name
 * @throws ConfigError that lists every fault at once
 */
export function readConfig<Name extends string>(
  env: Environment,
  services: Record<Name, NumberedService>,
  onSetting: SettingListener = () => undefined,
): Config<Name> {
  const faults: string[] = []

  const optional = (name: string, fallback?: string) => {
    onSetting(name, fallback || undefined)
    return env[name]?.trim() || undefined
  }
  const text = (name: string, fallback: string) => optional(name, fallback) ?? fallback
  const list = (name: string) =>
    text(name, '')
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean)

  const duration = (name: string, fallback: string, least: number, most = 3650 * DAY) => {
    const match = /^(\d{1,9})([smhd])$/.exec(text(name, fallback))
    const unit = UNITS[match?.[2] ?? '']
    if (!match || unit === undefined) {
      faults.push(`${name} must be a duration such as 30s, 10m, 1h or 7d`)
      return 0
    }
    const ms = Number(match[1]) * unit
    if (ms < least) faults.push(`${name} must be at least ${least / SECOND}s`)
    if (ms > most) faults.push(`${name} must be at most ${most < DAY ? `${most / SECOND}s` : `${most / DAY}d`}`)
    return ms
  }

  const integer = (name: string, fallback: number, least: number, most: number) => {
    const value = text(name, String(fallback))
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    if (!(number >= least && number <= most)) faults.push(`${name} must be a whole number from ${least} to ${most}`)
    return number
  }

  const oneOf = <T extends string>(name: string, fallback: T, choices: readonly T[]): T => {
    const value = text(name, fallback)
    const choice = choices.find((candidate) => candidate === value)
    if (choice === undefined) faults.push(`${name} must be one of ${choices.join(', ')}`)
    return choice ?? fallback
  }

  const url = (name: string, value: string, protocols: string[], port: number) => {
    const parsed = URL.parse(value)
    if (!parsed || !protocols.includes(parsed.protocol)) {
      faults.push(`${name} must be an address such as ${protocols[0]}//127.0.0.1:${port}`)
      return value
    }
    return value.replace(/\/+$/, '')
  }

  /** An address that paths are appended to. Returned without a trailing slash. */
  const base = (name: string, value: string, example: string, path: boolean, protocols = ['http:', 'https:']) => {
    const fault = baseUrlFault(value, { protocols, example, path })
    if (fault !== undefined) faults.push(`${name} ${fault}`)
    return value.replace(/\/+$/, '')
  }

  const address = (name: string, fallback: string) => base(name, text(name, fallback), fallback, false)

  /** An address that is published to clients. */
  const publicAddress = (name: string, value: string | undefined, example: string, protocols?: string[]) => {
    if (value === undefined) return undefined
    const before = faults.length
    base(name, value, example, true, protocols)
    if (faults.length === before && hasWildcardHost(value))
      faults.push(`${name} must be an address that other machines can reach: its host is a wildcard address`)
    return value
  }

  const production = oneOf('CH202_ENV', 'development', ['development', 'production', 'test']) === 'production'

  const secret = (name: string) => {
    const values = list(name)
    if (values.length === 0) faults.push(`${name} is missing`)
    if (production) {
      if (values.some((value) => value.length < SECRET_MIN_LENGTH))
        faults.push(`${name} must have at least ${SECRET_MIN_LENGTH} characters in production`)
      else if (values.some((value) => SAMPLE_SECRET.test(value)))
        faults.push(`${name} is a sample value; production needs a secret of its own`)
    }
    return values
  }

  const origins = list('CORS_ORIGINS')
  const badOrigins = origins.flatMap((origin, index) => {
    const fault = originFault(origin)
    return fault === undefined ? [] : [`${origins.length > 1 ? `number ${index + 1}` : 'it'} is ${fault}`]
  })
  if (badOrigins.length > 0)
    faults.push(
      `CORS_ORIGINS must list origins such as https://app.example.org or capacitor://localhost: ${badOrigins.join('; ')}`,
    )

  const proxies = list('TRUSTED_PROXIES')
  if (!proxies.every(isAddressOrNetwork))
    faults.push('TRUSTED_PROXIES must list IP addresses or networks such as 127.0.0.1 or 10.0.0.0/8')

  /** Returns the text unchanged, after parsing it for faults. */
  const verbatim = (name: string, value: string, read: (value: string) => object | string) => {
    const result = read(value)
    if (typeof result === 'string') faults.push(`${name} ${result}`)
    return value
  }

  const broker = (name: string, value: string) => {
    const before = faults.length
    const base = url(name, value, ['amqp:', 'amqps:'], 5672)
    const { hostname, port } = URL.parse(value) ?? {}
    if (faults.length === before && (!hostname || port === '0'))
      faults.push(`${name} must name a host and a port from 1 to 65535, such as amqp://127.0.0.1:5672`)
    return base
  }

  const smtpUrl = optional('SMTP_URL')
  const amqpUrl = optional('AMQP_URL')
  const combinedUrl = address('CH202_URL', 'http://127.0.0.1:3000')
  const addresses = mapValues(services, (service, name) =>
    address(addressSetting(name), defaultAddress(service)),
  ) as Config<Name>['addresses']
  // A URN is a valid issuer (RFC 7519, 4.1.1), although nobody can connect to it.
  const issuer = publicAddress('ISSUER', optional('ISSUER'), 'https://id.example.org', ['http:', 'https:', 'urn:'])
  const publicUrl = publicAddress('PUBLIC_URL', optional('PUBLIC_URL', combinedUrl), 'https://app.example.org')
  const allAddresses = [...Object.values<string>(addresses), combinedUrl, publicUrl, smtpUrl, amqpUrl]
  const config: Config<Name> = {
    production,
    dataDir: text('CH202_DATA_DIR', './data'),
    addresses,
    url: combinedUrl,
    hosts: [...new Set(allAddresses.flatMap((url) => hostOf(url ?? '') || []))],
    publicUrl:
      publicUrl === undefined ? linksTo(combinedUrl, issuer) : (URL.parse(publicUrl)?.href ?? '').replace(/\/+$/, ''),
    issuer,
    audience: text('AUDIENCE', 'ch202'),
    jwtExpire: duration('JWT_EXPIRE', '1h', SECOND),
    refreshExpire: duration('REFRESH_EXPIRE', '7d', SECOND),
    refreshExpireV0: duration('REFRESH_EXPIRE_V0', '30d', SECOND),
    refreshReuseGrace: duration('REFRESH_REUSE_GRACE', '10s', 0),
    sessionMaxAge: duration('SESSION_MAX_AGE', '90d', SECOND),
    revocationMaxLag: duration('REVOCATION_MAX_LAG', '30s', SECOND),
    signingKeyMaxAge: duration('SIGNING_KEY_MAX_AGE', '90d', HOUR),
    signingKeyLead: duration('SIGNING_KEY_LEAD', '2m', 0, 7 * DAY),
    passwordMinLength: integer('PASSWORD_MIN_LENGTH', 8, 1, 256),
    passwordHash: oneOf('PASSWORD_HASH', 'bcrypt', ['bcrypt', 'argon2id']),
    bcryptCost: integer('BCRYPT_COST', 10, 4, 20),
    hashQueue: integer('HASH_QUEUE', 128, 0, 100_000),
    registrationOpen: oneOf('REGISTRATION', 'open', ['open', 'closed']) === 'open',
    corsOrigins: origins,
    smtpUrl: smtpUrl && verbatim('SMTP_URL', smtpUrl, readSmtpUrl),
    mailFrom: verbatim('MAIL_FROM', text('MAIL_FROM', 'Ch202 <no-reply@localhost>'), readSender),
    amqpUrl: amqpUrl && broker('AMQP_URL', amqpUrl),
    amqpExchange: text('AMQP_EXCHANGE', 'ch202'),
    internalKeys: secret('INTERNAL_API_KEY'),
    operatorKeys: secret('OPERATOR_API_KEY'),
    secrets: secret('CH202_SECRET'),
    trustedProxies: proxies,
    // Longer than the 60 s of common load balancers. The maximum is Bun's.
    idleTimeout: duration('IDLE_TIMEOUT', '75s', SECOND, 255 * SECOND),
    rateLimit: oneOf('RATE_LIMIT', 'on', ['on', 'off']) === 'on',
    logLevel: oneOf('LOG_LEVEL', 'info', ['info', 'trace', 'debug', 'warn', 'error', 'fatal', 'silent']),
    logFormat: oneOf('LOG_FORMAT', env[ON_TERMINAL] ? 'pretty' : 'json', ['json', 'pretty']),
    logColor: env[ON_TERMINAL] === 'color',
  }
  if (config.internalKeys.some((key) => config.operatorKeys.includes(key)))
    faults.push('INTERNAL_API_KEY and OPERATOR_API_KEY must differ: each gives access that the other must not have')
  // Otherwise keys accumulate: each is published until its last token has expired.
  if (config.signingKeyMaxAge >= HOUR && config.signingKeyMaxAge < config.jwtExpire)
    faults.push('SIGNING_KEY_MAX_AGE must be at least JWT_EXPIRE')
  if (config.signingKeyMaxAge >= HOUR && config.signingKeyLead >= config.signingKeyMaxAge)
    faults.push('SIGNING_KEY_LEAD must be shorter than SIGNING_KEY_MAX_AGE')
  // Names that begin with amq. are reserved (AMQP 0-9-1, 3.1.3.1).
  if (!/^(?!amq\.)[\w.:-]{1,127}$/.test(config.amqpExchange))
    faults.push('AMQP_EXCHANGE must be 1 to 127 letters, digits, dashes, dots or colons, and not begin with amq.')
  if (faults.length > 0) throw new ConfigError(faults)
  return config
}

/** The default base of links in mails: the combined process, or the issuer if no other machine can reach the process. */
function linksTo(combinedUrl: string, issuer: string | undefined): string {
  return issuer !== undefined && /^https?:/.test(issuer) && URL.canParse(combinedUrl) && hasWildcardHost(combinedUrl)
    ? issuer.replace(/\/+$/, '')
    : combinedUrl
}

function isAddressOrNetwork(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || address.includes('%') || more.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}

/** The settings of a process that serves all services: every service has the same address. */
export function atOneAddress<Name extends string>(config: Config<Name>): Config<Name> {
  return { ...config, addresses: mapValues(config.addresses, () => config.url) }
}

function mapValues<T extends Record<string, unknown>, R>(
  record: T,
  map: (value: T[keyof T], name: string) => R,
): Record<keyof T, R> {
  const entries = Object.entries(record) as [string, T[keyof T]][]
  return Object.fromEntries(entries.map(([name, value]) => [name, map(value, name)])) as Record<keyof T, R>
}
