import { createServer, type Socket } from 'node:net'
import { readMail } from '../mails.ts'

/** The steps of a session that a script can change, in their order. `message` is the end of the text after DATA. */
export type Step = 'greeting' | 'EHLO' | 'HELO' | 'STARTTLS' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'message'
export const CUT = Symbol('the connection is closed')
export const SILENCE = Symbol('nothing is answered')
/** A complete response, of one line or several, or a failure instead. */
export type Act = string | typeof CUT | typeof SILENCE
type Script = Partial<Record<Step, Act | ((session: Session) => Act | Promise<Act>)>>

export interface Session {
  /** The commands, as received. */
  lines: string[]
  /** The address of the last RCPT. */
  to: string
  /** The text after DATA, decoded as `readMail` does. */
  message: string
  /** Whether the connection is closed. */
  isClosed: boolean
}

/** The responses of a server that accepts every mail. */
const DEFAULTS: Record<Step, string> = {
  greeting: '220 mail.example.org ESMTP',
  EHLO: '250 mail.example.org',
  HELO: '250 mail.example.org',
  STARTTLS: '502 Command not implemented',
  AUTH: '235 2.7.0 Accepted',
  MAIL: '250 2.1.0 Ok',
  RCPT: '250 2.1.5 Ok',
  DATA: '354 Go on',
  message: '250 2.0.0 Taken',
}

/** A mail server without TLS that accepts every mail, except at the steps for which a test scripts another response. */
export class ScriptedMailServer {
  readonly sessions: Session[] = []
  script: Script
  private readonly sockets = new Set<Socket>()
  private readonly server = createServer((socket) => this.serve(socket))

  constructor(script: Script = {}) {
    this.script = script
  }

  /** Starts it. @param port 0: any that is free @returns the port */
  async start(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(port, '0.0.0.0', resolve))
    return (this.server.address() as { port: number }).port
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }

  /** The messages received completely, in order, whether answered or not. */
  get messages(): Session[] {
    return this.sessions.filter(({ message }) => message !== '')
  }

  private serve(socket: Socket): void {
    const session: Session = { lines: [], to: '', message: '', isClosed: false }
    this.sessions.push(session)
    this.sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      session.isClosed = true
      this.sockets.delete(socket)
    })
    let text = ''
    let isMessage = false
    // Pipelined commands wait until those before them are answered.
    let turn = this.answer(socket, session, 'greeting')
    const read = async () => {
      for (;;) {
        const end = text.indexOf(isMessage ? '\r\n.\r\n' : '\r\n')
        if (end < 0) return
        const part = text.slice(0, end)
        text = text.slice(end + (isMessage ? 5 : 2))
        if (isMessage) {
          isMessage = false
          // A dot at the start of a line is sent twice (RFC 5321, 4.5.2).
          session.message = readMail(part.replaceAll(/^\.\./gm, '.'))
          await this.answer(socket, session, 'message')
          continue
        }
        session.lines.push(part)
        const [word = ''] = part.toUpperCase().split(' ')
        if (word === 'RCPT') session.to = /<(.*)>/.exec(part)?.[1] ?? ''
        if (word === 'QUIT') socket.end('221 Bye\r\n')
        else if (word in DEFAULTS) isMessage = (await this.answer(socket, session, word as Step)).startsWith('354')
        else socket.write('500 What?\r\n')
      }
    }
    socket.on('data', (chunk) => {
      text += chunk.toString()
      turn = turn.then(read).then(() => '')
    })
  }

  private async answer(socket: Socket, session: Session, step: Step): Promise<string> {
    const act = this.script[step] ?? DEFAULTS[step]
    const answer = typeof act === 'function' ? await act(session) : act
    if (answer === CUT) socket.destroy()
    if (typeof answer !== 'string') return ''
    socket.write(answer.replaceAll(/\r?\n/g, '\r\n').concat('\r\n'))
    return answer
  }
}

/** The value of a header of a message, with its folded lines joined. */
export function headerOf({ message }: Pick<Session, 'message'>, name: string): string | undefined {
  const [head = ''] = message.split(/\r?\n\r?\n/)
  return new RegExp(`^${name}: (.*)$`, 'im').exec(head.replaceAll(/\r?\n[ \t]+/g, ' '))?.[1]?.trim()
}
