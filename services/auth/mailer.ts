import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../kit/clock.ts'
import { emailAddress } from '../kit/email.ts'
import type { Log } from '../kit/log.ts'
import type { Random } from '../kit/random.ts'

export interface Mail {
  to: string
  subject: string
  text: string
}

export interface Mailer {
  /** Resolves when the mail server has taken it, or it is on the disk. @throws when neither */
  send(mail: Mail): Promise<void>
  close(): void
}

/** The server takes no mail for this address, now or later (RFC 5321, 4.2.1: 5yz). */
export class MailRefused extends Error {
  override name = 'MailRefused'
}

/** Milliseconds: a server that says nothing must not hold up the mails for long. */
const TIMEOUTS = { connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 20_000 }

/** Hands mails to a server. @param url `smtp://` or `smtps://`, with user and password where it needs them */
export function smtpMailer(url: string, from: string): Mailer {
  const opened = once(({ createTransport }) => createTransport({ url, ...TIMEOUTS }, { from }))
  return {
    async send(mail) {
      const transport = opened.transport()
      try {
        await transport.sendMail(addressed(mail))
      } catch (error) {
        const { command, responseCode } = error as { command?: string; responseCode?: number }
        if (command === 'RCPT TO' && responseCode !== undefined && responseCode >= 500)
          throw new MailRefused('The mail server knows no such mailbox', { cause: error })
        throw error
      }
    },
    close: opened.close,
  }
}

/** Writes each mail as a file of its own, in names that sort by time: for development, and where there is no server. */
export function fileMailer(
  directory: string,
  from: string,
  { clock, random, log }: { clock: Clock; random: Random; log: Log },
): Mailer {
  const opened = once(({ createTransport }) =>
    createTransport({ streamTransport: true, buffer: true, newline: 'unix' }, { from }),
  )
  return {
    async send(mail) {
      const transport = opened.transport()
      const { message } = await transport.sendMail({ ...addressed(mail), date: new Date(clock.now()) })
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const name = `${new Date(clock.now()).toISOString().replaceAll(':', '-')}-${random.id()}.eml`
      const file = join(directory, name)
      // Under another name until it is whole: who watches the directory never reads half a mail.
      writeFileSync(`${file}.part`, message as Buffer, { mode: 0o600, flag: 'wx', flush: true })
      chmodSync(`${file}.part`, 0o600)
      renameSync(`${file}.part`, file)
      log.info({ event: 'mail.written', file: name })
    },
    close: opened.close,
  }
}

/**
 * Opens a transport with the first mail: the library is not loaded before. It is required, not imported: an import reads
 * its files on the threads that hash passwords, and a burst of logins would hold the mail up.
 */
function once<T extends { close(): void }>(open: (library: typeof import('nodemailer')) => T) {
  let opened: T | undefined
  return {
    transport() {
      opened ??= open(require('nodemailer'))
      return opened
    },
    close() {
      opened?.close()
    },
  }
}

/** An address is one address, whatever its signs mean in a list of them; on the way its domain is ASCII. */
function addressed({ to, ...mail }: Mail) {
  return { ...mail, to: { name: '', address: emailAddress(to) } }
}
