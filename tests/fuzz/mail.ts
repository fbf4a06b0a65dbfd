import { existsSync, readdirSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { System } from '../support/system.ts'

/** Milliseconds. A younger mail may be read by the line that requested it. */
const MAIL_AGE = 5000

/** Reads the token of the newest mail to an address and deletes the mail; undefined if no mail has arrived. */
export function takeResetToken(system: System, email: string): string | undefined {
  let token: string | undefined
  for (const path of mailsOf(system)) {
    try {
      const mail = readFileSync(path, 'utf8')
      if (!mail.includes(email)) continue
      token = /token=3?D?([\w.-]+)/.exec(mail.replaceAll('=\r\n', ''))?.[1]
      unlinkSync(path)
    } catch {
      // Another line has deleted its mail meanwhile.
    }
  }
  return token
}

/** Deletes old mails: a long run sends so many that listing them would become slow. */
export function dropOldMails(system: System): void {
  for (const path of mailsOf(system))
    try {
      if (Date.now() - statSync(path).mtimeMs > MAIL_AGE) unlinkSync(path)
    } catch {
      // Deleted meanwhile by another line.
    }
}

function mailsOf({ dataDir }: System): string[] {
  const directory = join(dataDir, 'mail')
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter((name) => name.endsWith('.eml'))
    .sort()
    .map((name) => join(directory, name))
}
