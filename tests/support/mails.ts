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

/** The mail as a mail program shows it, with quoted-printable decoded (RFC 2045, 6.7). */
export function readMail(mail: string): string {
  if (!/^Content-Transfer-Encoding: quoted-printable$/im.test(mail)) return mail
  return mail
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** The link in a mail. @throws Error with the mail if it has none */
export function resetLinkIn(mail: string): URL {
  const link = /https?:\/\/\S+/.exec(readMail(mail))?.[0]
  if (!link) throw new Error(`No link in the mail:\n${mail}`)
  return new URL(link)
}

/** The mails written to an address so far, oldest first. */
export function mailsTo(system: Files, email: string): string[] {
  return mails(system).filter((mail) => mail.includes(`To: ${email}\n`))
}

/** Requests a password reset, and waits for the mail. @returns the token of its link */
export async function mailedToken(auth: Client, system: Files, email: string): Promise<string> {
  const before = mailsTo(system, email).length
  const { status, text } = await auth('POST /auth/password-reset-request', { body: { email } })
  if (status !== 202) throw new Error(`reset request: ${status} ${text}`)
  const mail = await eventually(() => mailsTo(system, email)[before])
  return resetLinkIn(mail).searchParams.get('token') ?? ''
}
