import { createServer, type Socket } from 'node:net'

type Behavior = 'refuses the login' | 'refuses the mail' | 'accepts the mail'

/**
 * A mail server that echoes its input when it refuses, in responses of several lines (RFC 5321, 4.2.1): a log that
 * contains its response would contain passwords and links.
 */
export class EchoingMailServer {
  behavior: Behavior = 'accepts the mail'
  /** Every mail received, accepted or not. */
  readonly received: string[] = []
  logins = 0
  private readonly sockets = new Set<Socket>()
  private readonly server = createServer((socket) => this.talk(socket))

  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return (this.server.address() as { port: number }).port
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }

  private talk(socket: Socket): void {
    let waiting = ''
    let isMail = false
    this.sockets.add(socket)
    socket.on('error', () => undefined)
    socket.write('220 here\r\n')
    socket.on('data', (chunk) => {
      waiting += chunk.toString()
      for (;;) {
        const end = waiting.indexOf(isMail ? '\r\n.\r\n' : '\r\n')
        if (end < 0) return
        const input = waiting.slice(0, end)
        waiting = waiting.slice(end + (isMail ? 5 : 2))
        socket.write(isMail ? this.answerMail(input) : this.answer(input))
        isMail = !isMail && input.toUpperCase() === 'DATA'
      }
    })
  }

  private answer(line: string): string {
    const [command = '', , credentials = ''] = line.split(' ')
    if (command === 'EHLO') return '250-here\r\n250 AUTH PLAIN\r\n'
    if (command === 'DATA') return '354 go on\r\n'
    if (command !== 'AUTH') return '250 well\r\n'
    this.logins++
    if (this.behavior !== 'refuses the login') return '235 well\r\n'
    return echo(535, `${line}\n${Buffer.from(credentials, 'base64').toString().replaceAll('\0', ' ')}`)
  }

  private answerMail(mail: string): string {
    this.received.push(mail)
    return this.behavior === 'refuses the mail' ? echo(451, mail) : '250 taken\r\n'
  }
}

/** A response that repeats the text; every second line looks like a frame of a stack trace. */
function echo(status: number, text: string): string {
  const lines = text.split(/\r?\n/).flatMap((line) => [line, `    at ${line}`])
  return `${lines.map((line) => `${status}-${line}\r\n`).join('')}${status} no\r\n`
}
