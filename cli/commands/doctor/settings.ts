import { issuerOf } from '../../../db/sqlite/inspect/index.ts'
import { proxyVariables } from '../../../services/kit/outgoing.ts'
import { isUnreachable } from '../../../services/kit/process/base-url.ts'
import { readSender } from '../../../services/kit/process/sender.ts'
import { isOpenToOthers, readSmtpUrl } from '../../../services/kit/process/smtp-url.ts'
import { type Check, type Finding, failed, ok, type Scene, skipped, warning } from './check.ts'

const COST_LEAST = 10
const LOCAL = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|.*\.localhost)$/

export const settingsChecks: Check[] = [
  {
    id: 'settings.valid',
    looksAt: 'every setting has a value that the services take',
    look: ({ faults }) =>
      faults.length === 0 ? ok('The settings are valid') : failed(faults.join('; '), 'ch202 config validate'),
  },
  {
    id: 'settings.environment',
    looksAt: 'what is open to others runs with `CH202_ENV=production`',
    look: known((config) => {
      if (config.production) return ok('CH202_ENV is production: weak secrets stop a start')
      if (!isExposed(config)) return ok('Runs for this machine alone')
      return warning('Open to others, without the guards of production', 'CH202_ENV=production')
    }),
  },
  {
    id: 'settings.registration',
    looksAt: 'whether strangers may register, in production',
    look: inTheOpen(({ registrationOpen }) =>
      registrationOpen
        ? warning('Anyone may register. Right where that is meant', 'REGISTRATION=closed')
        : ok('Only an operator makes users'),
    ),
  },
  {
    id: 'settings.rate_limit',
    looksAt: '`RATE_LIMIT` is on, in production',
    look: inTheOpen(({ rateLimit }) =>
      rateLimit ? ok('Failed logins are limited') : warning('Passwords can be guessed without end', 'RATE_LIMIT=on'),
    ),
  },
  {
    id: 'settings.password_hash',
    looksAt: `bcrypt has a cost of ${COST_LEAST} or more, in production`,
    look: inTheOpen(({ bcryptCost, passwordHash }) =>
      passwordHash !== 'bcrypt' || bcryptCost >= COST_LEAST
        ? ok('Passwords are hashed at a cost that holds')
        : warning(`BCRYPT_COST is ${bcryptCost}: stolen hashes are soon guessed`, `BCRYPT_COST=${COST_LEAST}`),
    ),
  },
  {
    id: 'settings.issuer',
    looksAt: '`ISSUER`, which stands in every token, is an address that others can reach',
    look(scene) {
      const { config } = scene
      const settled = config?.issuer ?? keptIssuer(scene)
      // The next start may be of three processes or of one.
      const issuers = settled === undefined ? [config?.addresses.auth, config?.url] : [settled]
      const [issuer] = issuers
      if (issuer === undefined) return skipped('The settings are not valid')
      const bad = issuers.find((url) => url !== undefined && URL.canParse(url) && isUnreachable(url))
      if (bad === undefined) return ok(`Tokens are issued under ${issuer}`)
      return failed(`Tokens are issued under ${bad}, which no other machine reaches`, 'ISSUER=https://…')
    },
  },
  {
    id: 'settings.public_url',
    looksAt: '`PUBLIC_URL`, which links in mails begin with, is an https address that others reach, in production',
    look: known((config) => {
      const { publicUrl } = config
      if (isUnreachable(publicUrl)) return failed('Links in mails lead to no machine', 'PUBLIC_URL=https://…')
      if (!isExposed(config)) return ok('Runs for this machine alone')
      const { hostname, protocol } = new URL(publicUrl)
      if (LOCAL.test(hostname)) return warning('Links in mails lead to this machine alone', 'PUBLIC_URL=https://…')
      if (protocol !== 'https:') return warning('Links in mails carry their token unencrypted', 'PUBLIC_URL=https://…')
      return ok('Links in mails are https')
    }),
  },
  {
    id: 'settings.mail',
    looksAt:
      '`SMTP_URL` is set and encrypts the password in it, and `MAIL_FROM` is an address that others can have, in production',
    look: inTheOpen((config) => {
      const [first, ...others] = mailFaults(config)
      if (!first) return ok('Mails are sent by SMTP')
      return warning([first, ...others].map(([message]) => message).join('; '), first[1])
    }),
  },
  {
    id: 'settings.proxies',
    looksAt: '`TRUSTED_PROXIES` names the proxy where there is one',
    look: known((config) => {
      if (config.trustedProxies.length > 0) return ok('The addresses of clients are taken from the proxies named')
      if (!isBehindProxy(config)) return ok('No proxy is in front')
      return warning('Every client seems to come from the proxy: one is limited for all', 'TRUSTED_PROXIES=127.0.0.1')
    }),
  },
  {
    id: 'settings.outgoing',
    looksAt: 'whether a proxy for outgoing calls is set (`HTTP_PROXY` and its like)',
    look({ env }) {
      const names = proxyVariables(env)
      if (names.length === 0) return ok('No proxy is set for outgoing calls')
      const set = `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} set`
      return ok(`${set}: webhooks go through that proxy, except those to this machine or to a host of the settings`)
    },
  },
]

function mailFaults({ mailFrom, smtpUrl }: Settings): [message: string, suggestion: string][] {
  const faults: [string, string][] = []
  if (smtpUrl === undefined) faults.push(['Mails are written as files and reach no one', 'SMTP_URL=smtps://…'])
  const server = smtpUrl === undefined ? '' : readSmtpUrl(smtpUrl)
  if (typeof server === 'object' && isOpenToOthers(server))
    faults.push(['The password of the mail server may reach others than that server', 'SMTP_URL=smtps://…'])
  const sender = readSender(mailFrom)
  if (typeof sender === 'object' && (LOCAL.test(sender.domain) || !sender.domain.includes('.')))
    faults.push([
      `Mails come from an address at ${sender.domain}, which mail servers refuse or take for spam`,
      'MAIL_FROM=Example <no-reply@example.org>',
    ])
  return faults
}

type Settings = NonNullable<Scene['config']>

function known(look: (config: Settings) => Finding) {
  return ({ config }: Scene) => (config ? look(config) : skipped('The settings are not valid'))
}

/** What is only dangerous where others can reach it. */
function inTheOpen(look: (config: Settings) => Finding) {
  return known((config) => (isExposed(config) ? look(config) : ok('Runs for this machine alone')))
}

/** What tokens are issued under since the first start; undefined where there was none, or it can't be read. */
function keptIssuer({ files, has, open }: Scene): string | undefined {
  if (!files.some(({ name, path }) => name === 'auth' && has(path))) return undefined
  try {
    return issuerOf(open('auth'))
  } catch {
    return undefined
  }
}

function isExposed(config: Settings): boolean {
  return config.production || [config.publicUrl, ...listening(config)].some((url) => !LOCAL.test(new URL(url).hostname))
}

/** Links are https, and nothing here is: something else takes the requests. */
function isBehindProxy(config: Settings): boolean {
  return config.publicUrl.startsWith('https:') && listening(config).every((url) => url.startsWith('http:'))
}

function listening({ addresses, url }: Settings): string[] {
  return [...Object.values(addresses), url]
}
