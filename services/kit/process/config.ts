import { isIP } from 'node:net'
import { ADMIN } from '../caller.ts'
import { DAY, HOUR, SECOND } from '../clock.ts'
import { LOCALES, type Locale } from '../locale.ts'
import type { LogSettings } from '../log.ts'
import { hasWildcardHost, hostOf } from '../outgoing.ts'
import { ROLE } from '../role.ts'
import { TOKEN_ALGS, type TokenAlg } from '../token-algs.ts'
import { originFault } from './base-url.ts'
import { PASSPHRASE_MIN_LENGTH, readBucketUrl } from './bucket-url.ts'
import { readDatabaseUrl } from './database-url.ts'
import { readSender } from './sender.ts'
import { addressSetting, defaultAddress, LISTEN_ALL, listenSetting, type NumberedService } from './service-address.ts'
import { type Environment, type SettingListener, SettingReader } from './setting-reader.ts'
import { readSmtpUrl } from './smtp-url.ts'

/** The settings from the environment: validated, and in the program's units (every duration in milliseconds). */
export interface Config<Name extends string = string> {
  production: boolean
  dataDir: string
  /** The PostgreSQL database that takes the place of the files in the data directory. */
  databaseUrl: string | undefined
  /** The name of this process among those that use the PostgreSQL database. Undefined: its host and process id. */
  nodeName: string | undefined
  /** The base address of each service; auth is one of them. */
  addresses: { auth: string } & Record<Name, string>
  /** The base address of a process that serves all of them. */
  url: string
  /** The addresses at which services listen. Not those of above if a balancer has them. */
  listen: { auth: string } & Record<Name, string>
  /** The address at which a process that serves all of them listens. */
  listenAll: string
  /** The hosts of all addresses in the settings. Calls to them never go through a proxy. */
  hosts: string[]
  /** The address of the pages, and the base of links in mails. */
  publicUrl: string
  /** The same for a process that serves every service. */
  publicUrlAtOneAddress: string
  /** Undefined: the base address of auth at its first start, which its database stores. */
  issuer: string | undefined
  audience: string
  jwtExpire: number
  /** Hosts whose addresses clients may give although they are private. They may use http. */
  oauthPrivateHosts: readonly string[]
  /** The algorithm that signs access tokens. */
  tokenAlg: TokenAlg
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
  /** Origins other than their own to which the pages may send someone who has signed in. */
  returnOrigins: string[]
  smtpUrl: string | undefined
  mailFrom: string
  /** How long after a login the calls that change how someone logs in need no further proof. Undefined: for ever. */
  reauthMaxAge: number | undefined
  /** `optional`: a registration sends a verification mail. `required`: nobody logs in before the address is verified. */
  emailVerification: 'off' | 'optional' | 'required'
  /** Whether a code by mail logs in. */
  emailLogin: boolean
  /** Which logins from a new device ask for a code by mail: none, those on the pages, or also those by the API. */
  deviceTrust: 'off' | 'pages' | 'all'
  /** The users who must have a second factor: none, administrators, all. */
  mfa: 'optional' | 'admins' | 'all'
  /** The relying party of passkeys. Undefined: the host of `publicUrl`. */
  passkeyRpId: string | undefined
  /** Origins of passkeys besides that of `publicUrl`. */
  passkeyOrigins: string[]
  /** The language of mails to users without a preference, whose request had none either. */
  locale: Locale
  /** The name of the product in mails. */
  productName: string
  /** The colour of buttons, such as `#1f6feb`. */
  brandColor: string
  /** The address at which users find help. Undefined: mails name none. */
  supportEmail: string | undefined
  /** The role of people who help users (see `mayHelp`). Undefined: no role does that. */
  supportRole: string | undefined
  /** How long rows of the audit are kept. Undefined: forever. */
  auditRetention: number | undefined
  /** The message broker that also receives events. */
  amqpUrl: string | undefined
  amqpExchange: string
  /** The first key is sent, all are accepted. */
  internalKeys: string[]
  operatorKeys: string[]
  /** The keys that read metrics, and nothing else. Empty: only operators read them. */
  metricsKeys: string[]
  /** The first secret encrypts, all decrypt. */
  secrets: string[]
  trustedProxies: string[]
  /** The bucket to which the tool copies backups; services do not use it. */
  backupS3Url: string | undefined
  backupPassphrase: string | undefined
  /** How long an idle connection is kept open. */
  idleTimeout: number
  rateLimit: boolean
  logLevel: LogSettings['logLevel']
  logFormat: LogSettings['logFormat']
  /** Whether pretty lines have colours. */
  logColor: boolean
}

/**
 * The environment variable that tells a process that a terminal shows its output, directly or through a parent: `color`,
 * or `plain` for a terminal without colours. Not a setting: the tool sets it for itself and for its child processes.
 */
export const ON_TERMINAL = 'CH202_ON_TERMINAL'

/** All faults of the settings, in one message. It stops a start. Its text never contains the value of a setting. */
export class ConfigError extends Error {
  constructor(readonly faults: string[]) {
    super(`The settings are not valid:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigError'
  }
}

const SAMPLE_SECRET = /^(your[-_ ]|change[-_ ]?me|secret|example|sample|password|test|xxx)|^(.)\2*$/i
const SECRET_MIN_LENGTH = 32

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
 * Reads every setting. `settingDescriptions` says what each means.
 * @param env the environment, including the secrets of `secrets.env`
 * @param services every service, by name
 * @throws ConfigError that lists every fault at once
 */
export function readConfig<Name extends string>(
  env: Environment,
  services: Record<Name, NumberedService>,
  onSetting: SettingListener = () => undefined,
): Config<Name> {
  const settings = new SettingReader(env, onSetting)
  const { faults } = settings
  const production = settings.oneOf('CH202_ENV', 'development', ['development', 'production', 'test']) === 'production'
  const smtpUrl = settings.optional('SMTP_URL')
  const amqpUrl = settings.optional('AMQP_URL')
  const databaseUrl = settings.optional('DATABASE_URL')
  const nodeName = settings.optional('NODE_NAME')
  const combinedUrl = settings.address('CH202_URL', 'http://127.0.0.1:3000')
  const addresses = mapValues(services, (service, name) =>
    settings.address(addressSetting(name), defaultAddress(service)),
  ) as Config<Name>['addresses']
  const listen = mapValues(services, (_, name) =>
    settings.listenAddress(listenSetting(name), addresses[name as Name]),
  ) as Config<Name>['listen']
  const listenAll = settings.listenAddress(LISTEN_ALL, combinedUrl)
  // A URN is a valid issuer (RFC 7519, 4.1.1), although nobody can connect to it.
  const issuerRules = { example: 'https://id.example.org', protocols: ['http:', 'https:', 'urn:'] }
  const issuer = settings.publicAddress('ISSUER', issuerRules)
  const publicRules = { example: 'https://app.example.org', fallback: combinedUrl }
  const publicUrl = settings.publicAddress('PUBLIC_URL', publicRules)
  const normalizedUrl = publicUrl === undefined ? undefined : (URL.parse(publicUrl)?.href ?? '').replace(/\/+$/, '')
  // Behind a proxy that has one address for all services, that one alone may be set.
  const webUrl = settings.isSet(addressSetting('web')) && 'web' in addresses ? String(addresses.web) : combinedUrl
  const allAddresses = [...Object.values<string>(addresses), combinedUrl, publicUrl, smtpUrl, amqpUrl, databaseUrl]
  const config: Config<Name> = {
    production,
    dataDir: settings.text('CH202_DATA_DIR', './data'),
    databaseUrl: databaseUrl && settings.verbatim('DATABASE_URL', databaseUrl, readDatabaseUrl),
    nodeName: nodeName && checkedNodeName(nodeName, faults),
    addresses,
    url: combinedUrl,
    listen,
    listenAll,
    hosts: [...new Set(allAddresses.flatMap((url) => hostOf(url ?? '') || []))],
    publicUrl: normalizedUrl ?? linksTo(webUrl, issuer),
    publicUrlAtOneAddress: normalizedUrl ?? linksTo(combinedUrl, issuer),
    issuer,
    audience: settings.text('AUDIENCE', 'ch202'),
    oauthPrivateHosts: settings.list('OAUTH_PRIVATE_HOSTS'),
    tokenAlg: settings.oneOf('TOKEN_ALG', 'EdDSA', TOKEN_ALGS),
    jwtExpire: settings.duration('JWT_EXPIRE', '1h', SECOND),
    refreshExpire: settings.duration('REFRESH_EXPIRE', '7d', SECOND),
    refreshExpireV0: settings.duration('REFRESH_EXPIRE_V0', '30d', SECOND),
    refreshReuseGrace: settings.duration('REFRESH_REUSE_GRACE', '10s', 0),
    sessionMaxAge: settings.duration('SESSION_MAX_AGE', '90d', SECOND),
    revocationMaxLag: settings.duration('REVOCATION_MAX_LAG', '30s', SECOND),
    signingKeyMaxAge: settings.duration('SIGNING_KEY_MAX_AGE', '90d', HOUR),
    signingKeyLead: settings.duration('SIGNING_KEY_LEAD', '2m', 0, 7 * DAY),
    passwordMinLength: settings.integer('PASSWORD_MIN_LENGTH', 8, 1, 256),
    passwordHash: settings.oneOf('PASSWORD_HASH', 'bcrypt', ['bcrypt', 'argon2id']),
    bcryptCost: settings.integer('BCRYPT_COST', 10, 4, 20),
    hashQueue: settings.integer('HASH_QUEUE', 128, 0, 100_000),
    registrationOpen: settings.oneOf('REGISTRATION', 'open', ['open', 'closed']) === 'open',
    corsOrigins: readOrigins('CORS_ORIGINS', settings, 'https://app.example.org or capacitor://localhost'),
    returnOrigins: readOrigins('RETURN_ORIGINS', settings, 'https://app.example.org'),
    smtpUrl: smtpUrl && settings.verbatim('SMTP_URL', smtpUrl, readSmtpUrl),
    mailFrom: settings.verbatim('MAIL_FROM', settings.text('MAIL_FROM', 'Ch202 <no-reply@localhost>'), readSender),
    reauthMaxAge: settings.durationOrOff('REAUTH_MAX_AGE', '10m', 30 * SECOND),
    emailVerification: settings.oneOf('EMAIL_VERIFICATION', 'optional', ['off', 'optional', 'required']),
    emailLogin: settings.oneOf('EMAIL_LOGIN', 'off', ['on', 'off']) === 'on',
    deviceTrust: settings.oneOf('DEVICE_TRUST', smtpUrl === undefined ? 'off' : 'pages', ['off', 'pages', 'all']),
    mfa: settings.oneOf('MFA', 'optional', ['optional', 'admins', 'all']),
    passkeyRpId: checkedRpId(settings.optional('PASSKEY_RP_ID'), faults),
    passkeyOrigins: readPasskeyOrigins(settings),
    locale: settings.oneOf('LOCALE', 'en', LOCALES),
    productName: checkedProductName(settings.text('PRODUCT_NAME', 'Ch202'), faults),
    brandColor: checkedColor(settings.text('BRAND_COLOR', '#1f6feb'), faults),
    supportEmail: checkedSupportEmail(settings.optional('SUPPORT_EMAIL'), faults),
    supportRole: checkedSupportRole(settings.optional('SUPPORT_ROLE'), faults),
    auditRetention: settings.durationOrForever('AUDIT_RETENTION', 'forever', DAY),
    amqpUrl: amqpUrl && checkedBroker(amqpUrl, faults),
    amqpExchange: settings.text('AMQP_EXCHANGE', 'ch202'),
    internalKeys: readSecrets('INTERNAL_API_KEY', settings, { production }),
    operatorKeys: readSecrets('OPERATOR_API_KEY', settings, { production }),
    metricsKeys: checkedSecrets('METRICS_API_KEY', settings, { production }),
    secrets: readSecrets('CH202_SECRET', settings, { production }),
    trustedProxies: readProxies(settings),
    // Longer than the 60 s of common load balancers. The maximum is Bun's.
    backupS3Url: settings.optional('BACKUP_S3_URL'),
    backupPassphrase: settings.optional('BACKUP_PASSPHRASE'),
    idleTimeout: settings.duration('IDLE_TIMEOUT', '75s', SECOND, 255 * SECOND),
    rateLimit: settings.oneOf('RATE_LIMIT', 'on', ['on', 'off']) === 'on',
    logLevel: settings.oneOf('LOG_LEVEL', 'info', ['info', 'trace', 'debug', 'warn', 'error', 'fatal', 'silent']),
    logFormat: settings.oneOf('LOG_FORMAT', env[ON_TERMINAL] ? 'pretty' : 'json', ['json', 'pretty']),
    logColor: env[ON_TERMINAL] === 'color',
  }
  faults.push(...contradictions(config))
  if (faults.length > 0) throw new ConfigError(faults)
  return config
}

function readSecrets(name: string, settings: SettingReader, { production }: { production: boolean }): string[] {
  const values = settings.list(name)
  if (values.length === 0) settings.faults.push(`${name} is missing`)
  return values.length === 0 ? values : checkedSecrets(name, settings, { production })
}

/** Reads the values of a secret, which may be unset. */
function checkedSecrets(name: string, settings: SettingReader, { production }: { production: boolean }): string[] {
  const values = settings.list(name)
  if (!production) return values
  if (values.some((value) => value.length < SECRET_MIN_LENGTH))
    settings.faults.push(`${name} must have at least ${SECRET_MIN_LENGTH} characters in production`)
  else if (values.some((value) => SAMPLE_SECRET.test(value)))
    settings.faults.push(`${name} is a sample value; production needs a secret of its own`)
  return values
}

/** Reads a list of origins. @param example an origin, or two @param isOther accepts what is no origin of a page */
function readOrigins(
  name: string,
  settings: SettingReader,
  example: string,
  isOther: (origin: string) => boolean = () => false,
): string[] {
  const origins = settings.list(name)
  const faults = origins.flatMap((origin, index) => {
    const fault = isOther(origin) ? undefined : originFault(origin)
    return fault === undefined ? [] : [`${origins.length > 1 ? `number ${index + 1}` : 'it'} is ${fault}`]
  })
  if (faults.length > 0) settings.faults.push(`${name} must list origins such as ${example}: ${faults.join('; ')}`)
  return origins
}

/** An Android app, by the hash of the key that signs it. */
const ANDROID_APP = /^android:apk-key-hash:[\w-]{43}$/

function readPasskeyOrigins(settings: SettingReader): string[] {
  const example = 'https://app.example.org or android:apk-key-hash:…'
  return readOrigins('PASSKEY_ORIGINS', settings, example, (origin) => ANDROID_APP.test(origin))
}

/** Checks the id of the relying party, a domain (WebAuthn 3, 5.1.2). Browsers accept no address of the IP. */
function checkedRpId(id: string | undefined, faults: string[]): string | undefined {
  const isDomain = id === undefined || (URL.parse(`https://${id}/`)?.hostname === id && isIP(id) === 0)
  if (!isDomain) faults.push('PASSKEY_RP_ID must be a domain such as example.org, without a scheme and a port')
  return id
}

function readProxies(settings: SettingReader): string[] {
  const proxies = settings.list('TRUSTED_PROXIES')
  if (!proxies.every(isAddressOrNetwork))
    settings.faults.push('TRUSTED_PROXIES must list IP addresses or networks such as 127.0.0.1 or 10.0.0.0/8')
  return proxies
}

/** Checks the name of this process, which the database shows to operators. */
function checkedNodeName(name: string, faults: string[]): string {
  if (!/^[\w.:-]{1,40}$/.test(name))
    faults.push('NODE_NAME must be 1 to 40 letters, digits, dots, colons, dashes and underscores')
  return name
}

/** Checks the address of the message broker. @returns the address without a trailing slash */
function checkedBroker(url: string, faults: string[]): string {
  const parsed = URL.parse(url)
  if (!parsed || !['amqp:', 'amqps:'].includes(parsed.protocol)) {
    faults.push('AMQP_URL must be an address such as amqp://127.0.0.1:5672')
    return url
  }
  if (!parsed.hostname || parsed.port === '0')
    faults.push('AMQP_URL must name a host and a port from 1 to 65535, such as amqp://127.0.0.1:5672')
  return url.replace(/\/+$/, '')
}

/** Checks the name of the product, which stands in the headers of mails. */
function checkedProductName(name: string, faults: string[]): string {
  if (name.length > 60 || /\p{Cc}|[<>"]/u.test(name))
    faults.push('PRODUCT_NAME must have at most 60 characters, and no quotes, angle brackets or control characters')
  return name
}

function checkedColor(color: string, faults: string[]): string {
  if (!/^#[0-9a-f]{6}$/i.test(color)) faults.push('BRAND_COLOR must be a colour such as #1f6feb')
  return color
}

function checkedSupportEmail(email: string | undefined, faults: string[]): string | undefined {
  if (email !== undefined && (/[\s<>"]/.test(email) || typeof readSender(email) === 'string'))
    faults.push('SUPPORT_EMAIL must be an email address such as help@example.org')
  return email
}

/** Checks the role of people who help users: everyone has `USER`, and `ADMIN` permits more. */
function checkedSupportRole(name: string | undefined, faults: string[]): string | undefined {
  if (name !== undefined && (!ROLE.test(name) || name === ADMIN || name === 'USER'))
    faults.push(
      'SUPPORT_ROLE must be a role such as SUPPORT: 1 to 32 capital letters, digits and underscores, beginning with a letter, and neither ADMIN nor USER',
    )
  return name
}

/** The faults of settings that are valid by themselves, but not together or not for their purpose. */
function contradictions(config: Config): string[] {
  const {
    amqpExchange,
    databaseUrl,
    internalKeys,
    jwtExpire,
    metricsKeys,
    operatorKeys,
    production,
    secrets,
    signingKeyLead,
    signingKeyMaxAge,
    smtpUrl,
  } = config
  const faults: string[] = []
  if (internalKeys.some((key) => operatorKeys.includes(key)))
    faults.push('INTERNAL_API_KEY and OPERATOR_API_KEY must differ: each gives access that the other must not have')
  const others = { INTERNAL_API_KEY: internalKeys, OPERATOR_API_KEY: operatorKeys, CH202_SECRET: secrets }
  const same = Object.entries(others).filter(([, keys]) => keys.some((key) => metricsKeys.includes(key)))
  if (same.length > 0)
    faults.push(`METRICS_API_KEY must differ from ${same.map(([name]) => name).join(' and ')}: it opens metrics alone`)
  // Without a mail server, mails are files of the node that sends them: nobody looks for them on several machines.
  if (databaseUrl !== undefined && production && smtpUrl === undefined)
    faults.push(
      'SMTP_URL must be set in production with a DATABASE_URL: mails would be files on one of several machines',
    )
  faults.push(...backupFaults(config))
  // Otherwise keys accumulate: each is published until its last token has expired.
  if (signingKeyMaxAge >= HOUR && signingKeyMaxAge < jwtExpire)
    faults.push('SIGNING_KEY_MAX_AGE must be at least JWT_EXPIRE')
  if (signingKeyMaxAge >= HOUR && signingKeyLead >= signingKeyMaxAge)
    faults.push('SIGNING_KEY_LEAD must be shorter than SIGNING_KEY_MAX_AGE')
  // Names that begin with amq. are reserved (AMQP 0-9-1, 3.1.3.1).
  if (!/^(?!amq\.)[\w.:-]{1,127}$/.test(amqpExchange))
    faults.push('AMQP_EXCHANGE must be 1 to 127 letters, digits, dashes, dots or colons, and not begin with amq.')
  return faults
}

function backupFaults({ backupPassphrase, backupS3Url }: Config): string[] {
  const bucket = backupS3Url === undefined ? undefined : readBucketUrl(backupS3Url)
  return [
    ...(typeof bucket === 'string' ? [`BACKUP_S3_URL ${bucket}`] : []),
    ...(bucket !== undefined && backupPassphrase === undefined
      ? ['BACKUP_PASSPHRASE must be set with BACKUP_S3_URL: backups leave this machine encrypted only']
      : []),
    ...(backupPassphrase !== undefined && backupPassphrase.length < PASSPHRASE_MIN_LENGTH
      ? [`BACKUP_PASSPHRASE must have at least ${PASSPHRASE_MIN_LENGTH} characters`]
      : []),
  ]
}

/** The default base of links in mails: the process that has the pages, or the issuer if no other machine can reach it. */
function linksTo(url: string, issuer: string | undefined): string {
  return issuer !== undefined && /^https?:/.test(issuer) && URL.canParse(url) && hasWildcardHost(url)
    ? issuer.replace(/\/+$/, '')
    : url
}

function isAddressOrNetwork(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || address.includes('%') || more.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}

/**
 * The settings of a process that serves the API: its services have the same address.
 * @param names the services of the process; the others, such as pages that run elsewhere, keep their addresses
 */
export function atOneAddress<Name extends string>(
  config: Config<Name>,
  names: readonly Name[] = Object.keys(config.addresses) as Name[],
): Config<Name> {
  const { publicUrlAtOneAddress, url } = config
  const addresses = mapValues(config.addresses, (address, name) => (names.includes(name as Name) ? url : address))
  const hasAll = names.length === Object.keys(addresses).length
  return { ...config, addresses, publicUrl: hasAll ? publicUrlAtOneAddress : config.publicUrl }
}

function mapValues<T extends Record<string, unknown>, R>(
  record: T,
  map: (value: T[keyof T], name: string) => R,
): Record<keyof T, R> {
  const entries = Object.entries(record) as [string, T[keyof T]][]
  return Object.fromEntries(entries.map(([name, value]) => [name, map(value, name)])) as Record<keyof T, R>
}
