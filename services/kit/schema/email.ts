import { type Complaint, tooLong } from '../field-errors.ts'
import { asciiDomain } from './idn.ts'

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

/** Blanks that a keyboard, a table or a word processor puts around a name: those of Unicode, but no line breaks. */
const BLANKS =
  '\t \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\ufeff'

/** A name as it was meant: without the blanks around it. */
export function withoutBlanks(name: string): string {
  let [from, to] = [0, name.length]
  while (from < to && BLANKS.includes(name.charAt(from))) from++
  while (from < to && BLANKS.includes(name.charAt(to - 1))) to--
  return name.slice(from, to)
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}
