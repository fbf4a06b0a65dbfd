import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, MINUTE } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import { readSender, type Sender } from '../../kit/process/sender.ts'
import { readSmtpUrl, type SmtpServer } from '../../kit/process/smtp-url.ts'
import type { Random } from '../../kit/random.ts'
import { emailAddress } from '../../kit/schema/email.ts'
import { failureOf, type MailFailure, type SmtpFailure } from './outcome.ts'

/** A mail's recipient and text, in two forms that say the same. */
export interface Letter {
  to: string
  subject: string
  text: string
  html: string
}

export interface Mail extends Letter {
  /** The left part of the `Message-ID`: the same in each attempt, so that mail programs show duplicates once. */
  id: string
  /** When the mail was requested, its `Date`; milliseconds since the epoch. */
  at: number
}

export interface Mailer {
  /**
   * Resolves when the mail server has accepted the mail, or the file is on the disk.
   * @throws MailNotSent when the mail server, or the way to it, is the cause; other errors otherwise
   */
  send(mail: Mail): Promise<void>
  /** Aborts attempts that are under way. */
  close(): void
}

/** An attempt that failed because of a mail server, or because of the way to it. */
export class MailNotSent extends Error {
  override name = 'MailNotSent'
  /** The command that the server answered, such as `RCPT TO`; null when the connection failed. */
  readonly step: string | null
  /** The code of the server's answer; null when there was no answer. */
  readonly status: number | null

  constructor(
    readonly failure: MailFailure,
    trouble: SmtpFailure & { cause?: unknown },
  ) {
    super(failure.reason, { cause: trouble.cause })
    const { command, responseCode } = trouble
    this.status = responseCode ?? null
    this.step = command === undefined || command === 'API' || command === 'CONN' ? null : command
  }
}

/** How long each part of an attempt may take, in milliseconds. */
export interface Patience {
  /**
   * To resolve the host, connect, receive the greeting and start TLS. RFC 5321 (4.5.3.2.1) allows the greeting 5 minutes.
   * A retry costs nothing at this point, so a slow server is tried again instead.
   */
  connection: number
  /** From the start to the end of the message: for all commands together what RFC 5321 (4.5.3.2.2 and 3) allows each. */
  envelope: number
  /**
   * For the answer to the message (RFC 5321, 4.5.3.2.6). Servers scan the message for spam and viruses before they answer:
   * a shorter timeout would send mails again that the server has accepted.
   */
  message: number
}

const PATIENCE: Patience = { connection: MINUTE, envelope: 5 * MINUTE, message: 10 * MINUTE }

/**
 * Returns a mailer that hands mails to an SMTP server.
 * @param url in the form that `readSmtpUrl` reads
 * @param from in the form that `readSender` reads
 */
export function smtpMailer(url: string, from: string, patience: Patience = PATIENCE): Mailer {
  const [server, sender] = [read(url, readSmtpUrl), read(from, readSender)]
  const attempts = new Set<AbortController>()
  return {
    async send(mail) {
      const attempt = new AbortController()
      attempts.add(attempt)
      let isLate = false
      const timer = setTimeout(() => {
        isLate = true
        attempt.abort()
      }, patience.envelope)
      const transport = smtpTransport(server, patience, () => clearTimeout(timer))
      try {
        await transport.sendMail({ ...messageOf(mail, sender), signal: attempt.signal })
      } catch (error) {
        throw isLate ? new MailNotSent({ outcome: 'retry', reason: 'timeout' }, { cause: error }) : notSent(error)
      } finally {
        clearTimeout(timer)
        attempts.delete(attempt)
        transport.close()
      }
    },
    close() {
      for (const attempt of attempts) attempt.abort()
    },
  }
}

/** Converts an error of the mail library. */
function notSent(error: unknown): MailNotSent {
  const { code, command, originalCode, response, responseCode, timeoutType } = error as SmtpFailure
  const trouble = { code, command, originalCode, response, responseCode, timeoutType }
  return new MailNotSent(failureOf(trouble), { ...trouble, cause: error })
}

/** Creates the transport of one mail. @param onHandedOver called when the message was written; only the answer is missing */
function smtpTransport({ tls, ...server }: SmtpServer, patience: Patience, onHandedOver: () => void) {
  const { createTransport } = library()
  const quiet = () => undefined
  const info = (entry: unknown) => {
    if ((entry as { tnx?: unknown }).tnx === 'message') onHandedOver()
  }
  return createTransport({
    ...server,
    tls: { ...tls },
    connectionTimeout: patience.connection,
    greetingTimeout: patience.connection,
    dnsTimeout: patience.connection,
    // The longest silence at any point. The envelope has a timer of its own.
    socketTimeout: patience.message,
    // The library reports its progress only through its logger. Its lines contain addresses, so they are dropped.
    logger: { level: quiet, trace: quiet, debug: quiet, info, warn: quiet, error: quiet, fatal: quiet },
  })
}

/** Returns a mailer that writes each mail to a file, for development and setups without a mail server. Names sort by time. */
export function fileMailer(
  directory: string,
  from: string,
  { clock, random, log }: { clock: Clock; random: Random; log: Log },
): Mailer {
  const sender = read(from, readSender)
  return {
    async send(mail) {
      const transport = library().createTransport({ streamTransport: true, buffer: true, newline: 'unix' })
      const { message } = await transport.sendMail(messageOf(mail, sender))
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const name = `${new Date(clock.now()).toISOString().replaceAll(':', '-')}-${random.id()}.eml`
      const file = join(directory, name)
      // Renamed when complete, so that a program that watches the directory never reads half a mail.
      writeFileSync(`${file}.part`, message as Buffer, { mode: 0o600, flag: 'wx', flush: true })
      chmodSync(`${file}.part`, 0o600)
      renameSync(`${file}.part`, file)
      log.info({ event: 'mail.written', file: name })
    },
    close: () => undefined,
  }
}

/**
 * Loads the library with the first mail. `require` rather than `import`: an import reads its files on the threads that hash
 * passwords, so a burst of logins would delay the mail.
 */
function library(): typeof import('nodemailer') {
  return require('nodemailer')
}

/** Reads a setting that was validated at the start. */
function read<T extends object>(text: string, reader: (text: string) => T | string): T {
  const value = reader(text)
  if (typeof value === 'string') throw new Error(value)
  return value
}

/**
 * Builds the message for the library, the same in each attempt: the boundary between text and HTML follows from the id.
 * `to` is an object, so the address is never parsed as a list, and its domain is converted to ASCII. Quoted-printable
 * leaves a link in a file readable, in every language. `Auto-Submitted` prevents automatic replies, such as vacation
 * notices (RFC 3834, 5).
 */
function messageOf({ at, id, to, ...letter }: Mail, { address, domain, name }: Sender) {
  return {
    ...letter,
    from: { name, address },
    to: { name: '', address: emailAddress(to) },
    messageId: `<${id}@${domain}>`,
    baseBoundary: id,
    textEncoding: 'quoted-printable' as const,
    date: new Date(at),
    headers: { 'Auto-Submitted': 'auto-generated' },
  }
}
