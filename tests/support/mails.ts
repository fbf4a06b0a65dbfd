import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import type { Client } from './http.ts'
import type { System } from './system.ts'

type Files = Pick<System, 'dataDir'>

/** The mails written so far, oldest first. */
export function mails({ dataDir }: Files): string[] {
  const directory = join(dataDir, 'mail')
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.eml'))
      .sort()
      .map((name) => readFileSync(join(directory, name), 'utf8'))
  } catch {
    return []
  }
}

/**
 * The mail as a mail program shows it: every part decoded (RFC 2045, 6), and its header says so. What is decoded may be
 * passed here again.
 */
export function readMail(mail: string): string {
  const { body, gap, head } = headAndBody(mail)
  const delimiter = delimiterOf(head)
  if (delimiter !== undefined) {
    const [preamble = '', ...parts] = body.split(delimiter)
    // After the last delimiter, `--` marks the end.
    const decodedParts = parts.map((part) => (part.startsWith('--') ? part : readMail(part)))
    return head + gap + [preamble, ...decodedParts].join(delimiter)
  }
  const encoding = /^(Content-Transfer-Encoding: )(quoted-printable|base64)$/im
  const name = encoding.exec(head)?.[2]?.toLowerCase()
  if (name === undefined) return mail
  const decodedBody = name === 'base64' ? Buffer.from(body, 'base64').toString() : fromQuotedPrintable(body)
  return head.replace(encoding, '$18bit') + gap + decodedBody
}

/** The text and the HTML of a mail, without the line break at their end; lines end with `\n`. */
export function formsOf(mail: string): { text: string; html: string } {
  const { body, head } = headAndBody(readMail(mail).replaceAll('\r\n', '\n'))
  const parts = body.split(delimiterOf(head) ?? body).map(headAndBody)
  const form = (type: string) =>
    parts.find((part) => part.head.includes(`Content-Type: ${type};`))?.body.replace(/\n$/, '') ?? ''
  return { text: form('text/plain'), html: form('text/html') }
}

/** Returns the text that separates the parts of a mail (RFC 2046, 5.1.1); undefined: it has no parts. */
function delimiterOf(head: string): string | undefined {
  const boundary = /^Content-Type: multipart\/\w+;\s+boundary="([^"]+)"/im.exec(head)?.[1]
  return boundary && `--${boundary}`
}

function headAndBody(mail: string): { head: string; gap: string; body: string } {
  const gap = /\r?\n\r?\n/.exec(mail)
  const at = gap?.index ?? mail.length
  return { head: mail.slice(0, at), gap: gap?.[0] ?? '', body: mail.slice(at + (gap?.[0].length ?? 0)) }
}

function fromQuotedPrintable(body: string): string {
  const octets = body
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(octets, 'latin1').toString()
}

/** The link in a mail. @throws Error with the mail if it has none */
export function resetLinkIn(mail: string): URL {
  const link = /https?:\/\/\S+/.exec(readMail(mail))?.[0]
  if (!link) throw new Error(`No link in the mail:\n${mail}`)
  return new URL(link)
}

/**
 * The mails written to an address so far, oldest first.
 * @param page only those with a link to this page: a user who registers also gets a mail to verify their address, at any time
 */
export function mailsTo(system: Files, email: string, page?: string): string[] {
  return mails(system).filter(
    (mail) => mail.includes(`To: ${email}\n`) && (page === undefined || readMail(mail).includes(`/${page}?token=`)),
  )
}

/** The page that the link of a password reset opens. */
export const RESET_PAGE = 'reset-password'

/** Requests a password reset, and waits for the mail. @returns the token of its link */
export async function mailedToken(auth: Client, system: Files, email: string): Promise<string> {
  const before = mailsTo(system, email, RESET_PAGE).length
  const { status, text } = await auth('POST /auth/password-reset-request', { body: { email } })
  if (status !== 202) throw new Error(`reset request: ${status} ${text}`)
  const mail = await eventually(() => mailsTo(system, email, RESET_PAGE)[before])
  return resetLinkIn(mail).searchParams.get('token') ?? ''
}
