import { isIP } from 'node:net'
import { HOUR } from '../../../kit/clock.ts'
import { deviceName } from '../../../kit/device-name.ts'
import type { Config } from '../../../kit/process/config.ts'
import type { MailKind, NoticeCause } from '../../store/index.ts'
import type { Dictionary, Life, View } from './dictionary.ts'
import type { Link } from './rich.ts'

/** The values of a mail. Times are milliseconds since the epoch. */
export interface MailValues {
  link?: string
  code?: string
  /** When the link expires; of a mail without a link: when the code does. */
  expiresAt?: number
  codeExpiresAt?: number
  /** When it happened; of a link and a code: when they were created. Without it, a mail says only until when they work. */
  at?: number
  ip?: string | null
  userAgent?: string | null
  /** The subject of a `notice`. */
  cause?: NoticeCause
  /** The name of an invited user. No other mail has it: anyone can register with any name and somebody else's address. */
  name?: string | null
  /** The address of an invited user. */
  email?: string
}

export type TextSettings = Pick<
  Config,
  'productName' | 'brandColor' | 'supportEmail' | 'locale' | 'dataDir' | 'publicUrl'
>

/** Values without which a kind cannot be written. */
const NEEDED: Record<MailKind, readonly (keyof MailValues)[]> = {
  password_reset: ['link', 'expiresAt'],
  email_verification: ['link', 'code', 'expiresAt', 'codeExpiresAt'],
  email_code: ['link', 'code', 'expiresAt', 'codeExpiresAt'],
  email_change: ['link', 'code', 'expiresAt', 'codeExpiresAt'],
  email_changed: ['at'],
  invitation: ['link', 'expiresAt', 'email'],
  device: ['code', 'at'],
  notice: ['cause', 'at'],
}
/** A shorter life ends on the day on which the mail is read, or in the night after it: the time of day is enough. */
const SHORT = 12 * HOUR
/** Control characters, separators of lines, and characters that reverse the direction of what follows. */
const INVISIBLE = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu

/** @throws Error when a value is missing: a mail is never sent with a gap */
export function viewOf(kind: MailKind, values: MailValues, dictionary: Dictionary, settings: TextSettings): View {
  const missing = NEEDED[kind].filter((name) => values[name] === undefined)
  if (values.link !== undefined && values.expiresAt === undefined) missing.push('expiresAt')
  if (values.code !== undefined && (values.codeExpiresAt ?? values.expiresAt) === undefined)
    missing.push('codeExpiresAt')
  if (missing.length > 0) throw new Error(`A ${kind} mail needs ${missing.join(', ')}`)
  const { at, cause, code, ip, link, name, userAgent } = values
  const { productName, publicUrl, supportEmail } = settings
  const expiresAt = values.expiresAt ?? 0
  const trimmedName = oneLine(name ?? '')
  return {
    product: oneLine(productName),
    site: { href: publicUrl, text: publicUrl },
    support: supportEmail === undefined ? null : mailto(supportEmail),
    link: link ?? '',
    linkLife: life(expiresAt, at, dictionary),
    code: code ?? '',
    codeLife: life(values.codeExpiresAt ?? expiresAt, at, dictionary),
    when: dictionary.dateTime(at ?? 0),
    where: ip && isIP(ip) ? ip : dictionary.unknownAddress,
    device: deviceName(userAgent ?? '') ?? dictionary.unknownDevice,
    cause: cause ?? 'password_changed',
    name: trimmedName === '' ? null : trimmedName,
    email: oneLine(values.email ?? ''),
  }
}

/** Links an address (RFC 6068, 2): its local part may have characters that separate the parts of a link. */
function mailto(email: string): Link {
  return { href: `mailto:${encodeURIComponent(email).replace('%40', '@')}`, text: email }
}

function life(expiresAt: number, at: number | undefined, { dateTime, duration, time }: Dictionary): Life {
  const fullUntil = dateTime(expiresAt)
  if (at === undefined || expiresAt <= at) return { until: fullUntil, fullUntil, lasts: null }
  const length = expiresAt - at
  return { until: length < SHORT ? time(expiresAt) : fullUntil, fullUntil, lasts: duration(length) }
}

/** Makes a text of one line that cannot change how the rest of the mail looks. */
export function oneLine(text: string): string {
  return text.replaceAll(INVISIBLE, ' ').replaceAll(/\s+/g, ' ').trim()
}
