import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { SMTPServer } from 'smtp-server'
import { fileMailer, type Mail, smtpMailer } from '../../services/auth/mail/transport.ts'
import { silentLog } from '../../services/kit/log.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { formsOf } from '../support/mails.ts'
import { sampleMails } from './mails.ts'

/** Reads mails with a parser that is not ours: that of Python. Each comes after a line with its length. */
const PARSER = `
import email, email.policy, json, sys
while line := sys.stdin.buffer.readline():
  mail = email.message_from_bytes(sys.stdin.buffer.read(int(line)), policy=email.policy.default)
  parts = [part for part in mail.walk() if not part.is_multipart()]
  print(json.dumps({
    "type": mail.get_content_type(),
    "defects": [repr(d) for part in mail.walk() for d in part.defects],
    "headers": [[name.lower(), str(value)] for name, value in mail.items()],
    "parts": [{
      "type": part.get_content_type(),
      "charset": part.get_content_charset(),
      "content": part.get_content().replace("\\r\\n", "\\n"),
    } for part in parts],
  }), flush=True)
`

interface Parsed {
  type: string
  defects: string[]
  headers: [name: string, value: string][]
  parts: { type: string; charset: string; content: string }[]
}

// One process for all mails: Python takes longer to start than to read one.
const parser = Bun.spawn(['/usr/bin/python3', '-c', PARSER], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
const answers = createInterface(Readable.fromWeb(parser.stdout as never))[Symbol.asyncIterator]()
afterAll(() => parser.kill())

async function parse(raw: Uint8Array): Promise<Parsed> {
  parser.stdin.write(`${raw.length}\n`)
  parser.stdin.write(raw)
  await parser.stdin.flush()
  const { done, value } = await answers.next()
  if (done) throw new Error('The parser has ended')
  return JSON.parse(value)
}

const ID = '0123456789abcdef0123456789abcdef'
const AT = Date.parse('2026-11-20T10:00:00Z')
const FROM = 'Acme Notes <accounts@example.org>'
const mailOf = (letter: Pick<Mail, 'subject' | 'text' | 'html'>): Mail => ({
  id: ID,
  at: AT,
  to: 'ana@example.net',
  ...letter,
})

/** Mails as they arrived, and to whom. */
let received: { raw: Buffer; recipients: string[] }[] = []
let url = ''
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  // Otherwise it asks for the name of this machine with each connection.
  disableReverseLookup: true,
  onData(stream, session, done) {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      received.push({
        raw: Buffer.concat(chunks),
        recipients: session.envelope.rcptTo.map(({ address }) => address),
      })
      done()
    })
  },
})
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `smtp://127.0.0.1:${(server.server.address() as { port: number }).port}`
})
afterAll(() => new Promise<void>((resolve) => server.close(resolve)))

/** Sends a mail. @returns what the server received */
async function arrived(mail: Mail) {
  received = []
  await smtpMailer(url, FROM).send(mail)
  expect(received).toHaveLength(1)
  return received[0] as (typeof received)[number]
}

const valuesOf = ({ headers }: Parsed, name: string) =>
  headers.filter(([each]) => each === name).map(([, value]) => value)

describe('a mail that arrives', () => {
  test.each(
    sampleMails({ productName: 'Записки & Co' }).map((sample) => [sample.locale, sample.name, sample] as const),
  )('in %s, %s: has both forms, in UTF-8, the text first, as it was written', async (_, __, { mail }) => {
    const { raw } = await arrived(mailOf(mail))
    const parsed = await parse(raw)
    expect(parsed.defects).toEqual([])
    expect(parsed.type).toBe('multipart/alternative')
    expect(parsed.parts).toEqual([
      { type: 'text/plain', charset: 'utf-8', content: mail.text },
      { type: 'text/html', charset: 'utf-8', content: mail.html },
    ])
    expect(valuesOf(parsed, 'subject')).toEqual([mail.subject])
    expect(valuesOf(parsed, 'message-id')).toEqual([`<${ID}@example.org>`])
    expect(valuesOf(parsed, 'auto-submitted')).toEqual(['auto-generated'])
    expect(valuesOf(parsed, 'mime-version')).toEqual(['1.0'])
    // Any server accepts it: ASCII, in lines of at most 78 characters (RFC 5322, 2.1.1).
    const lines = raw.toString('latin1').split('\r\n')
    expect(lines.filter((line) => line.length > 78 || /[^\t\x20-\x7e]/.test(line))).toEqual([])
  })

  test('is the same bytes in each attempt', async () => {
    const [{ mail }] = sampleMails() as [ReturnType<typeof sampleMails>[number]]
    const first = await arrived(mailOf(mail))
    const second = await arrived(mailOf({ ...mail }))
    expect(second.raw.equals(first.raw)).toBe(true)
  })

  test.each(['\r\n', '\n', '\r', '\u2028', '\u0085', '\0'])(
    'has no header and no recipient more, whatever the name of the product has: %j',
    async (separator) => {
      const productName = `Acme${separator}Bcc: all@example.org${separator}${separator}<b>body</b>`
      const samples = sampleMails({ productName }, { name: productName, userAgent: productName })
      received = []
      await Promise.all(samples.map(({ mail }) => smtpMailer(url, FROM).send(mailOf(mail))))
      expect(received).toHaveLength(samples.length)
      for (const { raw, recipients } of received) {
        expect(recipients).toEqual(['ana@example.net'])
        const headers = raw
          .toString()
          .split('\r\n\r\n')[0]
          ?.match(/^[\w-]+(?=:)/gm)
        expect(headers?.toSorted()).toEqual([
          'Auto-Submitted',
          'Content-Type',
          'Date',
          'From',
          'MIME-Version',
          'Message-ID',
          'Subject',
          'To',
        ])
      }
    },
  )

  test('has no header more if its subject itself has one, as the last line of defence', async () => {
    const { raw } = await arrived(mailOf({ subject: 'Hello\r\nBcc: all@example.org', text: 'x', html: '<p>x</p>' }))
    const parsed = await parse(raw)
    expect(valuesOf(parsed, 'bcc')).toEqual([])
    expect(parsed.parts).toHaveLength(2)
  })

  test('has a line that begins with a dot', async () => {
    const { raw } = await arrived(mailOf({ subject: 'Dots', text: '.\n..two\n.\n', html: '.\n<p>\n.a\n' }))
    expect((await parse(raw)).parts.map(({ content }) => content)).toEqual(['.\n..two\n.\n', '.\n<p>\n.a\n'])
  })
})

describe('a mail in a file', () => {
  test.each(sampleMails().map((sample) => [sample.locale, sample.name, sample] as const))(
    'in %s, %s: has both forms',
    async (locale, _, { mail, values }) => {
      const directory = mkdtempSync(join(tmpdir(), 'ch202-'))
      const clock = { now: () => AT, monotonic: () => 0 }
      await fileMailer(directory, FROM, { clock, random: systemRandom, log: silentLog }).send(mailOf(mail))
      const file = readFileSync(join(directory, readdirSync(directory)[0] ?? ''))
      rmSync(directory, { recursive: true })
      expect(formsOf(file.toString())).toEqual({ text: mail.text, html: mail.html })
      expect((await parse(file)).parts.map(({ content }) => content)).toEqual([mail.text, mail.html])
      // A link can be copied from the file, unless the text needs another encoding.
      if (locale === 'en' && values.link) expect(file.toString().split('\n')).toContain(values.link)
    },
  )
})
