import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'

/** The sender of mails. */
export interface Sender {
  /** The display name; may be empty. */
  name: string
  /** The local part in ASCII, the domain in its ASCII form (UTS 46). */
  address: string
  domain: string
}

const LONGEST = 254
const LONGEST_LOCAL = 64
/** A local part without quotes (RFC 5322, 3.2.3). */
const DOT_ATOM = /^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*$/
/** Characters that no domain has. The conversion to ASCII would decode some of them, or cut the text there. */
const NO_DOMAIN = /[\s%/?#@\\:[\]]/
/** RFC 1123, 2.1. */
const DOMAIN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/
/** A display name without quotes: no characters that separate addresses or groups (RFC 5322, 3.4). */
const PLAIN_NAME = /^[^"<>@,;:\\]+$/
const QUOTED_NAME = /^"((?:[^"\\]|\\.)*)"$/
const SAMPLE = 'no-reply@example.org or Example <no-reply@example.org>'

/**
 * Reads `MAIL_FROM`: one address, or a name and one address in angle brackets. A name with a comma, colon, semicolon, at
 * sign, quote or backslash must be in double quotes.
 * @returns the sender, or the fault as text after the name of the setting
 */
export function readSender(text: string): Sender | string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it matches control characters
  if (/[\u0000-\u001f\u007f\u0085\u2028\u2029]/.test(text)) return 'must be one line without control characters'
  if (/^(["']).*\1$/.test(text)) return `must not be in quotes as a whole: ${SAMPLE}`
  const [, before, inside, after] = /^(.*?)<([^<>]*)>(.*)$/.exec(text) ?? []
  if (inside === undefined || before === undefined) {
    if (/[\s,;:<>]/.test(text)) return `must be one address: ${SAMPLE}`
    return addressOf(text, '')
  }
  if (after) return `must be one address, with nothing after it: ${SAMPLE}`
  const name = nameOf(before.trim())
  if (name === undefined) return `must have its name in double quotes, or without special characters: ${SAMPLE}`
  return addressOf(inside.trim(), name)
}

function nameOf(text: string): string | undefined {
  if (text === '' || PLAIN_NAME.test(text)) return text
  return QUOTED_NAME.exec(text)?.[1]?.replaceAll(/\\(.)/g, '$1')
}

function addressOf(text: string, name: string): Sender | string {
  const at = text.lastIndexOf('@')
  const local = text.slice(0, at)
  if (at < 1 || at === text.length - 1) return `must hold an address: ${SAMPLE}`
  if (!DOT_ATOM.test(local) || local.length > LONGEST_LOCAL)
    return 'must have 1 to 64 ASCII letters, digits or other signs of an address before its @'
  const writtenDomain = text.slice(at + 1)
  const domain = NO_DOMAIN.test(writtenDomain) ? '' : domainToASCII(writtenDomain)
  if (!DOMAIN.test(domain) || isIP(domain)) return 'must have the name of a domain after its @'
  const address = `${local}@${domain}`
  if (address.length > LONGEST) return `must have an address of at most ${LONGEST} characters`
  return { name, address, domain }
}
