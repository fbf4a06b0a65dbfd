import { hasWildcardHost, proxyVariables } from '../../../services/kit/outgoing.ts'
import { readSender } from '../../../services/kit/process/sender.ts'
import { isOpenToOthers, readSmtpUrl } from '../../../services/kit/process/smtp-url.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, skipped, warning } from './check.ts'

const COST_MIN = 10
const LOCAL = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|.*\.localhost)$/

export const settingsChecks: Check[] = [
  {
    id: 'settings.valid',
    describes: 'every setting has a valid value',
    run: ({ settingsErrors: problems }) =>
      problems.length === 0 ? ok('The settings are valid') : failed(problems.join('; '), 'ch202 config validate'),
  },
  {
    id: 'settings.environment',
    describes: 'services that other machines can reach run with `CH202_ENV=production`',
    run: withSettings((config) => {
      if (config.production) return ok('CH202_ENV is production: services refuse to start with weak secrets')
      if (!isExposed(config)) return ok('Not checked: only reachable from this machine')
      return warning(
        'Other machines can reach the services, without the safeguards of production',
        'CH202_ENV=production',
      )
    }),
  },
  {
    id: 'settings.registration',
    describes: 'only operators can create users, in production (a reminder if registration is open)',
    run: ifExposed(({ registrationOpen }) =>
      registrationOpen
        ? warning('Registration is open. If that is not intended:', 'REGISTRATION=closed')
        : ok('Only operators can create users'),
    ),
  },
  {
    id: 'settings.rate_limit',
    describes: '`RATE_LIMIT` is on, in production',
    run: ifExposed(({ rateLimit }) =>
      rateLimit
        ? ok('The rate limit for failed logins is on')
        : warning('Without a rate limit, passwords can be guessed without end', 'RATE_LIMIT=on'),
    ),
  },
  {
    id: 'settings.password_hash',
    describes: `the bcrypt cost is ${COST_MIN} or more, in production`,
    run: ifExposed(({ bcryptCost, passwordHash }) =>
      passwordHash !== 'bcrypt' || bcryptCost >= COST_MIN
        ? ok('The password hashing cost is high enough')
        : warning(`BCRYPT_COST is ${bcryptCost}: stolen hashes can be cracked quickly`, `BCRYPT_COST=${COST_MIN}`),
    ),
  },
  {
    id: 'settings.issuer',
    describes: '`ISSUER`, which is in every token, is an address that other machines can reach',
    async run(context) {
      const { config } = context
      const issuerInUse = config?.issuer ?? (await storedIssuer(context))
      // The next start may run a process per service or one process for all.
      const issuers = issuerInUse === undefined ? [config?.addresses.auth, config?.url] : [issuerInUse]
      const [issuer] = issuers
      if (issuer === undefined) return skipped('The settings are not valid')
      const unreachable = issuers.find((url) => url !== undefined && URL.canParse(url) && hasWildcardHost(url))
      if (unreachable === undefined) return ok(`Tokens are issued as ${issuer}`)
      return failed(`Tokens are issued as ${unreachable}, which no other machine can reach`, 'ISSUER=https://…')
    },
  },
  {
    id: 'settings.public_url',
    describes:
      '`PUBLIC_URL`, the base of links in emails, is an https address that other machines can reach, in production',
    run: withSettings((config) => {
      const { publicUrl } = config
      if (hasWildcardHost(publicUrl))
        return failed('Links in emails do not work on any machine', 'PUBLIC_URL=https://…')
      if (!isExposed(config)) return ok('Not checked: only reachable from this machine')
      const { hostname, protocol } = new URL(publicUrl)
      if (LOCAL.test(hostname)) return warning('Links in emails only work on this machine', 'PUBLIC_URL=https://…')
      if (protocol !== 'https:')
        return warning('Links in emails are http: their tokens are sent unencrypted', 'PUBLIC_URL=https://…')
      return ok('Links in emails are https')
    }),
  },
  {
    id: 'settings.mail',
    describes: '`SMTP_URL` is set and sends its password encrypted, and `MAIL_FROM` is a public address, in production',
    run: ifExposed((config) => {
      const [first, ...others] = mailProblems(config)
      if (!first) return ok('Emails are sent by SMTP')
      return warning([first, ...others].map(([message]) => message).join('; '), first[1])
    }),
  },
  {
    id: 'settings.proxies',
    describes: '`TRUSTED_PROXIES` names the proxy, if there is one',
    run: withSettings((config) => {
      if (config.trustedProxies.length > 0) return ok('The trusted proxies report the clients’ addresses')
      if (!isBehindProxy(config)) return ok('There is no proxy in front of the services')
      return warning(
        'All clients share the proxy’s address, so they also share one rate limit',
        'TRUSTED_PROXIES=127.0.0.1',
      )
    }),
  },
  {
    id: 'settings.outgoing',
    describes: 'whether a proxy for outgoing requests is set (`HTTP_PROXY` and similar)',
    run({ env }) {
      const names = proxyVariables(env)
      if (names.length === 0) return ok('No proxy is set for outgoing requests')
      const variables = `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} set`
      return ok(`${variables}: webhooks use that proxy, except to this machine and to hosts in the settings`)
    },
  },
]

function mailProblems({ mailFrom, smtpUrl }: Settings): [message: string, suggestion: string][] {
  const faults: [string, string][] = []
  if (smtpUrl === undefined) faults.push(['Emails are only written to files and reach nobody', 'SMTP_URL=smtps://…'])
  const server = smtpUrl === undefined ? '' : readSmtpUrl(smtpUrl)
  if (typeof server === 'object' && isOpenToOthers(server))
    faults.push(['The password of the mail server is sent unencrypted', 'SMTP_URL=smtps://…'])
  const sender = readSender(mailFrom)
  if (typeof sender === 'object' && (LOCAL.test(sender.domain) || !sender.domain.includes('.')))
    faults.push([
      `The sender’s domain ${sender.domain} is not public: mail servers refuse such emails or treat them as spam`,
      'MAIL_FROM=Example <no-reply@example.org>',
    ])
  return faults
}

type Settings = NonNullable<DoctorContext['config']>

function withSettings(check: (config: Settings) => Finding) {
  return ({ config }: DoctorContext) => (config ? check(config) : skipped('The settings are not valid'))
}

/** Runs a check only if other machines can reach the services. */
function ifExposed(check: (config: Settings) => Finding) {
  return withSettings((config) =>
    isExposed(config) ? check(config) : ok('Not checked: only reachable from this machine'),
  )
}

/** The issuer fixed by the first start; undefined before it, or if the database cannot be read. */
async function storedIssuer({ databaseUrl, files, has, open }: DoctorContext): Promise<string | undefined> {
  if (databaseUrl === undefined && !files.some(({ name, path }) => name === 'auth' && has(path))) return undefined
  try {
    return await (await open('auth')).issuer()
  } catch {
    return undefined
  }
}

function isExposed(config: Settings): boolean {
  return (
    config.production ||
    [config.publicUrl, config.url, ...Object.values(config.addresses), ...listenAddresses(config)].some(
      (url) => !LOCAL.test(new URL(url).hostname),
    )
  )
}

/** Whether links are https while the services are http, so a proxy must be in front. */
function isBehindProxy(config: Settings): boolean {
  return config.publicUrl.startsWith('https:') && listenAddresses(config).every((url) => url.startsWith('http:'))
}

function listenAddresses({ listen, listenAll }: Settings): string[] {
  return [...Object.values(listen), listenAll]
}
