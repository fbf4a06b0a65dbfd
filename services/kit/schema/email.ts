import { type Complaint, tooLong } from '../field-errors.ts'
import { asciiDomain } from './idn.ts'

/** Characters of the ASCII form. An SMTP path has 256, including its brackets (RFC 5321, 4.5.3.1.3). */
export const EMAIL_MAX = 254

/** The pattern of `<input type=email>` (WHATWG HTML, 4.10.5.1.5): ASCII only, so that look-alikes cannot register. */
const EMAIL =
  /^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/

/** Whether a text is an email address. Its domain may be internationalized. */
export function isEmail(text: string): boolean {
  return emailComplaint(text) === undefined
}

/** The error of a text that is not an email address; undefined when it is valid. */
export function emailComplaint(text: string): Complaint | undefined {
  const address = emailAddress(text)
  if (address.length > EMAIL_MAX) return tooLong(EMAIL_MAX)
  return EMAIL.test(address) ? undefined : NO_EMAIL
}

const NO_EMAIL: Complaint = { code: 'format', message: 'must be an email' }

/** The address to send mail to: with the domain in its ASCII form (UTS 46). Invalid addresses are returned unchanged. */
export function emailAddress(email: string): string {
  if (email.length > EMAIL_MAX || isAscii(email)) return email
  const at = email.lastIndexOf('@')
  const domain = asciiDomain(email.slice(at + 1))
  return domain === undefined ? email : email.slice(0, at + 1) + domain
}

/** The key that all spellings of an email address share. Every comparison of emails uses it. */
export function emailKey(email: string): string {
  return emailAddress(email).toLowerCase()
}

/** Blanks that keyboards, tables and word processors put around names: those of Unicode, except line breaks. */
const BLANKS =
  '\t \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\ufeff'

/** Removes the blanks around a name. */
export function withoutBlanks(name: string): string {
  let [start, end] = [0, name.length]
  while (start < end && BLANKS.includes(name.charAt(start))) start++
  while (start < end && BLANKS.includes(name.charAt(end - 1))) end--
  return name.slice(start, end)
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}
