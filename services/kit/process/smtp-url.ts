import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'

/** The mail server of `SMTP_URL`, with the options for connections to it. */
export interface SmtpServer {
  host: string
  port: number
  /** TLS from the first byte (`smtps://`). Otherwise STARTTLS is used if the server offers it. */
  secure: boolean
  /** Whether the password and mails are only sent after STARTTLS has encrypted the connection. */
  requireTLS: boolean
  auth?: { user: string; pass: string }
  /** The name of this machine in EHLO. */
  name?: string
  tls: { rejectUnauthorized: boolean; servername?: string }
}

const SUBMISSION = 587
const SUBMISSION_TLS = 465
const HOST = /^[\w-]+(\.[\w-]+)*\.?$/
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|::1)$/i
/** The allowed options. The mail library has many more, some of which read files or log passwords. */
const OPTIONS = ['requireTLS', 'tls.rejectUnauthorized', 'tls.servername', 'name'] as const

/**
 * Reads `smtp://` or `smtps://` with a host and, optionally, a port, a user with a password, and options. A password for
 * another machine requires TLS, so that a server (or an attacker in between) without STARTTLS gets nothing in clear text
 * (RFC 3207, 6); `?requireTLS=false` turns that off.
 * @returns the server, or the fault as text without any part of the address, because that may hold a password
 */
export function readSmtpUrl(address: string): SmtpServer | string {
  const url = URL.parse(address)
  if (!url || !/^smtps?:$/.test(url.protocol)) return 'must be an address such as smtp://127.0.0.1:587'
  const host = asciiHost(url.hostname)
  if (host === undefined) return 'must name a host, such as smtp://127.0.0.1:587'
  if (url.port === '0') return 'must have a port from 1 to 65535'
  // An unencoded /, ? or # in a password ends the password there.
  if (!['', '/'].includes(url.pathname) || url.hash)
    return 'must end after the host, the port and the options: encode / as %2F, ? as %3F and # as %23 in a password'
  const [user, pass] = [decoded(url.username), decoded(url.password)]
  if ((user === '') !== (pass === '')) return 'must have a user and a password, or neither'
  const options = optionsOf(url.searchParams)
  if (typeof options === 'string') return options
  const secure = url.protocol === 'smtps:'
  const isRemote = user !== '' && !LOOPBACK.test(host)
  const { name, 'tls.servername': servername } = options
  return {
    host,
    port: Number(url.port) || (secure ? SUBMISSION_TLS : SUBMISSION),
    secure,
    requireTLS: options.requireTLS === undefined ? isRemote && !secure : options.requireTLS === 'true',
    ...(user === '' ? {} : { auth: { user, pass } }),
    ...(name === undefined ? {} : { name }),
    tls: {
      rejectUnauthorized: options['tls.rejectUnauthorized'] !== 'false',
      ...(servername === undefined ? {} : { servername }),
    },
  }
}

/** Whether a password may cross a network unencrypted, or reach a server that is not the intended one. */
export function isOpenToOthers({ auth, host, requireTLS, secure, tls }: SmtpServer): boolean {
  return auth !== undefined && !LOOPBACK.test(host) && !((secure || requireTLS) && tls.rejectUnauthorized)
}

/** The host in ASCII; undefined if it is not one that DNS or the system could resolve. */
export function asciiHost(hostname: string): string | undefined {
  const literal = /^\[(.*)\]$/.exec(hostname)?.[1]
  if (literal !== undefined) return isIP(literal) === 6 ? literal : undefined
  const name = decoded(hostname)
  // The conversion to ASCII would decode these characters, or cut the text there.
  const host = /[\s%/?#@\\:]/.test(name) ? '' : domainToASCII(name)
  return HOST.test(host) ? host : undefined
}

type Options = Partial<Record<(typeof OPTIONS)[number], string>>

function optionsOf(params: URLSearchParams): Options | string {
  const options: Options = {}
  for (const [key, value] of params) {
    const name = OPTIONS.find((option) => option === key)
    if (name === undefined || name in options)
      return `may have the options ${OPTIONS.join(', ')}, each once, and no others: encode ? as %3F in a password`
    const isSwitch = name === 'requireTLS' || name === 'tls.rejectUnauthorized'
    if (isSwitch && !/^(true|false)$/.test(value)) return `must have true or false as ${name}`
    if (!isSwitch && !HOST.test(value)) return `must have the name of a host as ${name}`
    options[name] = value
  }
  return options
}

/** Decodes percent-encoding. Text that is not valid percent-encoding is returned unchanged, as the mail library does. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
