import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

type Line = Record<string, unknown>

/** Where an answer is lost: before anything of the request was done, when half of it was, or when all of it was. */
export type Point = 'before' | 'half' | 'after'

interface Person extends Line {
  id: string
  email: string
  updated_at: string
}

/**
 * The users service as `docs/bulk.md` says it is, in memory, so that a test can lose an answer, or end whoever asked,
 * at one point of one request.
 */
export class FakeUsers {
  readonly people = new Map<string, Person>()
  /** What comes of the requests to come, from the first on. */
  trouble: ((request: number, point: Point) => 'cut' | Promise<'cut' | undefined> | undefined) | undefined
  /** How many lines of the next requests are too many for it. */
  overloaded = 0
  requests = 0
  /** How many lines of requests came. */
  lines = 0
  private readonly server = createServer((request, response) => void this.answer(request, response))

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  stop(): void {
    this.server.closeAllConnections()
    this.server.close()
  }

  /** Someone who was there before. */
  put(person: { email: string } & Line): void {
    const there = { id: crypto.randomUUID(), updated_at: '2024-01-01T00:00:00.000Z', ...person }
    this.people.set(person.email, there)
  }

  /** What there is, but for what differs from run to run. */
  state(): Line[] {
    return [...this.people.values()].map(({ id, updated_at, ...rest }) => rest)
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url)
    if (request.method === 'GET') {
      const id = pathname.split('/').at(-1)
      const person = [...this.people.values()].find((one) => one.id === id)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(person ?? { status: 'ok' }))
      return
    }
    const number = ++this.requests
    const lines = (await text(request)).split('\n').map((line) => JSON.parse(line) as Line)
    this.lines += lines.length
    const mode = searchParams.get('on_conflict') ?? 'fail'
    const half = Math.floor(lines.length / 2)
    const lost = async (point: Point) => (await this.trouble?.(number, point)) === 'cut'
    if (await lost('before')) return cut(response)
    response.setHeader('content-type', 'application/x-ndjson')
    response.write(this.done(lines.slice(0, half), mode, 0))
    if (await lost('half')) return cut(response)
    const rest = this.done(lines.slice(half), mode, half)
    if (await lost('after')) return cut(response)
    response.end(rest)
  }

  private done(lines: Line[], mode: string, before: number): string {
    return lines.map((line, n) => `${JSON.stringify({ line: before + n + 1, ...this.one(line, mode) })}\n`).join('')
  }

  private one(line: Line, mode: string): Line {
    if (this.overloaded > 0) {
      this.overloaded--
      return { status: 'failed', code: 'overloaded', message: 'Too busy; try again shortly' }
    }
    const { email, id } = line as unknown as Person
    const byEmail = this.people.get(email)
    const there = byEmail ?? [...(mode === 'fail' ? [] : this.people.values())].find((one) => one.id === id && id)
    if (there && mode === 'skip') return { status: 'skipped', id: there.id }
    if (byEmail && mode === 'update') return this.updated(byEmail, line)
    if (there) return { status: 'failed', code: 'email_taken', message: 'Email is taken' }
    if (line.password === '')
      return { status: 'failed', code: 'validation_failed', message: ['password must not be empty'] }
    const person = { updated_at: new Date().toISOString(), ...line, id: id ?? crypto.randomUUID(), email }
    this.people.set(email, person)
    return { status: 'created', id: person.id }
  }

  private updated(there: Person, { id, updated_at, ...line }: Line): Line {
    if (id !== undefined && id !== there.id)
      return { status: 'failed', code: 'validation_failed', message: ['id must be that of the user who has the email'] }
    const differs = Object.entries(line).some(([name, value]) => there[name] !== value)
    if (differs) Object.assign(there, line, { updated_at: new Date().toISOString() })
    return { status: differs ? 'updated' : 'unchanged', id: there.id }
  }
}

/** Once what was written is on its way. */
function cut(response: ServerResponse): void {
  setTimeout(() => response.destroy(), 10)
}
