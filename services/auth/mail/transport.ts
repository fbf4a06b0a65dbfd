import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, MINUTE } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import { readSender, type Sender } from '../../kit/process/sender.ts'
import { readSmtpUrl, type SmtpServer } from '../../kit/process/smtp-url.ts'
import type { Random } from '../../kit/random.ts'
import { emailAddress } from '../../kit/schema/email.ts'
import { failureOf, type MailFailure, type SmtpTrouble } from './outcome.ts'

/** What a mail says, and to whom. */
export interface Letter {
  to: string
  subject: string
  text: string
}

export interface Mail extends Letter {
  /** The left part of its `Message-ID`: the same in each attempt, so that whoever gets two copies shows one. */
  id: string
  /** Its `Date`, in milliseconds since the epoch: when it was asked for. */
  at: number
}

export interface Mailer {
  /**
   * Resolves when the mail server has taken it, or it is on the disk.
   * @throws MailNotSent, where a mail server is why; whatever else was in the way
   */
  send(mail: Mail): Promise<void>
  /** Cuts off what is under way. */
  close(): void
}

/** An attempt that a mail server, or the way to it, did not let succeed. */
export class MailNotSent extends Error {
  override name = 'MailNotSent'
  /** The command that was answered, such as `RCPT TO`; null: the connection failed. */
  readonly step: string | null
  /** The code of the answer; null: there was none. */
  readonly status: number | null

  constructor(
    readonly failure: MailFailure,
    trouble: SmtpTrouble & { cause?: unknown },
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
   * To find the host, connect, be greeted and begin TLS. RFC 5321 (4.5.3.2.1) would wait for 5 min for the greeting: a
   * server that is so late is tried again instead, because nothing was lost yet.
   */
  connection: number
  /** From the start to the end of the message: what RFC 5321 (4.5.3.2.2 and 3) gives to each command, for all of them. */
  envelope: number
  /**
   * For the answer to the message (RFC 5321, 4.5.3.2.6): whoever waits less sends mails again that the server has taken,
   * because it answers only when it has looked for spam and viruses in them.
   */
  message: number
}

const PATIENCE: Patience = { connection: MINUTE, envelope: 5 * MINUTE, message: 10 * MINUTE }

/** Hands mails to a server. @param url as `readSmtpUrl` takes it @param from as `readSender` does */
export function smtpMailer(url: string, from: string, patience: Patience = PATIENCE): Mailer {
  const [server, sender] = [read(url, readSmtpUrl), read(from, readSender)]
  const underWay = new Set<AbortController>()
  return {
    async send(mail) {
      const attempt = new AbortController()
      underWay.add(attempt)
      let isLate = false
      const timer = setTimeout(() => {
        isLate = true
        attempt.abort()
      }, patience.envelope)
      const transport = smtpTransport(server, patience, () => clearTimeout(timer))
      try {
        await transport.sendMail({ ...addressed(mail, sender), signal: attempt.signal })
      } catch (error) {
        if (isLate) throw new MailNotSent({ outcome: 'retry', reason: 'timeout' }, { cause: error })
        const { code, command, originalCode, response, responseCode, timeoutType } = error as SmtpTrouble
        const trouble = { code, command, originalCode, response, responseCode, timeoutType }
        throw new MailNotSent(failureOf(trouble), { ...trouble, cause: error })
      } finally {
        clearTimeout(timer)
        underWay.delete(attempt)
        transport.close()
      }
    },
    close() {
      for (const attempt of underWay) attempt.abort()
    },
  }
}

/** One for each mail. @param handedOver called when the whole message was written, and only its answer is missing */
function smtpTransport({ tls, ...server }: SmtpServer, patience: Patience, handedOver: () => void) {
  const { createTransport } = library()
  const quiet = () => undefined
  const info = (entry: unknown) => {
    if ((entry as { tnx?: unknown }).tnx === 'message') handedOver()
  }
  return createTransport({
    ...server,
    tls: { ...tls },
    connectionTimeout: patience.connection,
    greetingTimeout: patience.connection,
    dnsTimeout: patience.connection,
    // Of silence, whatever is waited for. The envelope has a timer of its own.
    socketTimeout: patience.message,
    // The library's only word for where it is. Its lines hold addresses, and go nowhere.
    logger: { level: quiet, trace: quiet, debug: quiet, info, warn: quiet, error: quiet, fatal: quiet },
  })
}

/** Writes each mail as a file of its own, in names that sort by time: for development, and where there is no server. */
export function fileMailer(
  directory: string,
  from: string,
  { clock, random, log }: { clock: Clock; random: Random; log: Log },
): Mailer {
  const sender = read(from, readSender)
  return {
    async send(mail) {
      const transport = library().createTransport({ streamTransport: true, buffer: true, newline: 'unix' })
      const { message } = await transport.sendMail(addressed(mail, sender))
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const name = `${new Date(clock.now()).toISOString().replaceAll(':', '-')}-${random.id()}.eml`
      const file = join(directory, name)
      // Under another name until it is whole: who watches the directory never reads half a mail.
      writeFileSync(`${file}.part`, message as Buffer, { mode: 0o600, flag: 'wx', flush: true })
      chmodSync(`${file}.part`, 0o600)
      renameSync(`${file}.part`, file)
      log.info({ event: 'mail.written', file: name })
    },
    close: () => undefined,
  }
}

/**
 * Loads the library with the first mail. It is required, not imported: an import reads its files on the threads that hash
 * passwords, and a burst of logins would hold the mail up.
 */
function library(): typeof import('nodemailer') {
  return require('nodemailer')
}

/** What the settings were checked for when they were read. */
function read<T extends object>(text: string, reader: (text: string) => T | string): T {
  const value = reader(text)
  if (typeof value === 'string') throw new Error(value)
  return value
}

/**
 * The mail as the library takes it, the same in each attempt. An address is one address, whatever its signs mean in a
 * list of them, and its domain is ASCII on the way. Auto-Submitted keeps vacation notices and the like from answering (RFC 3834, 5).
 */
function addressed({ at, id, to, ...letter }: Mail, { address, domain, name }: Sender) {
  return {
    ...letter,
    from: { name, address },
    to: { name: '', address: emailAddress(to) },
    messageId: `<${id}@${domain}>`,
    date: new Date(at),
    headers: { 'Auto-Submitted': 'auto-generated' },
  }
}
