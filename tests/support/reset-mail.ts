import type { Client } from './running.ts'
import { eventually, mails, type System } from './system.ts'

/** The mail as a reader shows it: its lines whole, its signs plain (RFC 2045, 6.7). */
export function readMail(mail: string): string {
  if (!/^Content-Transfer-Encoding: quoted-printable$/im.test(mail)) return mail
  return mail
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

export function resetLinkIn(mail: string): URL {
  const link = /https?:\/\/\S+/.exec(readMail(mail))?.[0]
  if (!link) throw new Error(`No link in the mail:\n${mail}`)
  return new URL(link)
}

/** The mails that were written to an address so far, oldest first. */
export function mailsTo(system: System, email: string): string[] {
  return mails(system).filter((mail) => mail.includes(`To: ${email}\n`))
}

/** Asks for a mail, waits for it, and takes the token out of its link. */
export async function mailedToken(auth: Client, system: System, email: string): Promise<string> {
  const before = mailsTo(system, email).length
  const { status, text } = await auth('POST /auth/password-reset-request', { body: { email } })
  if (status !== 202) throw new Error(`reset request: ${status} ${text}`)
  const mail = await eventually(() => mailsTo(system, email)[before])
  return resetLinkIn(mail).searchParams.get('token') ?? ''
}
