import { domainToASCII, domainToUnicode } from 'node:url'
import { type Complaint, tooLong } from './field-errors.ts'

/** Characters of the ASCII form: a path of SMTP has 256, with its brackets (RFC 5321, 4.5.3.1.3). */
export const EMAIL_MAX = 254

/** HTML's `<input type=email>` (WHATWG HTML, 4.10.5.1.5): only ASCII, so that no look-alike makes a second account. */
const EMAIL =
  /^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/

/** Whether it is an email, whose domain may be internationalized. */
export function isEmail(text: string): boolean {
  return emailComplaint(text) === undefined
}

/** What keeps a text from being an email. */
export function emailComplaint(text: string): Complaint | undefined {
  const address = emailAddress(text)
  if (address.length > EMAIL_MAX) return tooLong(EMAIL_MAX)
  return EMAIL.test(address) ? undefined : NO_EMAIL
}

const NO_EMAIL: Complaint = { code: 'format', message: 'must be an email' }

/** Where mail for it goes: with the domain in its ASCII form (UTS 46). What is no email comes back as it is. */
export function emailAddress(email: string): string {
  if (email.length > EMAIL_MAX || isAscii(email)) return email
  const at = email.lastIndexOf('@')
  const domain = asciiDomain(email.slice(at + 1))
  return domain === undefined ? email : email.slice(0, at + 1) + domain
}

/** What two spellings of one email have in common, and no other has: all that compares emails goes by it. */
export function emailKey(email: string): string {
  return emailAddress(email).toLowerCase()
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}

/** The full stops of a domain (UTS 46, 4). */
const DOTS = /[.。．｡]/
/** As it is typed: no sign that is not seen, and none that a URL has a use for. The middle dot is Catalan's. */
const LABEL = /^(?!-)(?:(?!\p{DI})[\p{L}\p{M}\p{N}-]|(?<=l)·(?=l))+(?<!-)$/iu

/** The ASCII form of an internationalized domain; undefined for what is none. */
function asciiDomain(domain: string): string | undefined {
  const typed = domain.split(DOTS)
  if (!typed.every((label) => LABEL.test(label))) return undefined
  // Behind another label a number at the end is not taken for a part of an IPv4 address.
  const ascii = domainToASCII(`${domain}.x`).slice(0, -'.x'.length)
  const labels = ascii.split('.')
  if (labels.length !== typed.length) return undefined
  const international = labels.filter((_, index) => !isAscii(typed[index] ?? ''))
  // What looks like ASCII, and becomes that, is a look-alike.
  if (international.length === 0 || !international.every((label) => label.startsWith('xn--'))) return undefined
  const shown = international.map((label) => domainToUnicode(label))
  if (!shown.every((label) => ONE_SCRIPT.test(label)) || LOOKS_LIKE_ASCII.test(shown.join(''))) return undefined
  const top = domainToUnicode(labels.at(-1) ?? '')
  return LATIN_BEYOND_ASCII.test(top) && !LATIN_TOPS.includes(top) ? undefined : ascii
}

/** Scripts that are written today (UAX 31, table 5), but for Latin and those of Chinese, Japanese and Korean. */
const SCRIPTS =
  'Arab Armn Beng Cyrl Deva Ethi Geor Grek Gujr Guru Hebr Khmr Knda Laoo Mlym Mymr Orya Sinh Taml Telu Thaa Thai Tibt'
/** Latin as languages write it: neither phonetic letters nor other symbols. */
const BEYOND_ASCII = '\u00df-\u024f\u1e00-\u1eff\u0300-\u036fɓɔɖɗəɛɣɨɲɵʃʉʊʋʒ·'
const LATIN_BEYOND_ASCII = new RegExp(`[${BEYOND_ASCII}]`, 'u')
/** Of the top level domains in Latin letters only these are not ASCII: `orǵ` is a look-alike. */
const LATIN_TOPS = ['vermögensberater', 'vermögensberatung']
/** The labels of domains that are of one script, or of those that are written together (UTS 39, highly restrictive). */
const ONE_SCRIPT = new RegExp(
  [
    `[a-z${BEYOND_ASCII}0-9-]+`,
    ...SCRIPTS.split(' ').map((script) => `[\\p{scx=${script}}0-9-]+`),
    '[\\p{scx=Hani}\\p{scx=Hira}\\p{scx=Kana}a-z0-9-]+',
    '[\\p{scx=Hani}\\p{scx=Hang}a-z0-9-]+',
    '[\\p{scx=Hani}\\p{scx=Bopo}a-z0-9-]+',
  ]
    .map((label) => `^${label}$`)
    .join('|'),
  'u',
)

/**
 * Domains in which everything is ASCII or has the look of it, such as `сосо` in Cyrillic. Their ASCII form is taken
 * where it is typed itself.
 */
const LOOKS_LIKE_ASCII = new RegExp(
  `^[a-z0-9${[
    '-',
    // Cyrillic, Greek, Armenian, Hebrew.
    'асԁеһіјӏорԛѕѵԝхуү',
    'αικνορυϲϳ',
    'օսհոցզ',
    'וסןי',
    // Latin, and marks that hide on a letter.
    'ıȷǀƽſɑɡɩ',
    '\u0300-\u036f',
    // Zeros and ones.
    '٠١٥۰۱۵०০੦૦୦௦౦೦൦๐໐၀',
  ].join('')}]+$`,
  'u',
)
