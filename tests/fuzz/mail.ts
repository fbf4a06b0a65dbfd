import { existsSync, readdirSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { System } from '../support/system.ts'

const MAIL_AGE = 5000

/** The token of the newest mail to an address, which is taken away; undefined where none has come. */
export function takeResetToken(system: System, email: string): string | undefined {
  let token: string | undefined
  for (const path of mailsOf(system)) {
    try {
      const mail = readFileSync(path, 'utf8')
      if (!mail.includes(email)) continue
      token = /token=3?D?([\w.-]+)/.exec(mail.replaceAll('=\r\n', ''))?.[1]
      unlinkSync(path)
    } catch {
      // Another line's, taken meanwhile.
    }
  }
  return token
}

/** So many pile up in a long run that each look at them would take long. */
export function dropOldMails(system: System): void {
  for (const path of mailsOf(system))
    try {
      if (Date.now() - statSync(path).mtimeMs > MAIL_AGE) unlinkSync(path)
    } catch {
      // Taken meanwhile.
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
