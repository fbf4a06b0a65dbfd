import { newEmail } from '../support/actors.ts'
import { PATIENCE } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import type { System } from '../support/system.ts'

/**
 * The acknowledged state of a user, with alternatives: after a request without an answer, both the old and the new state
 * are possible. After a restart the instance is compared with it.
 */
export interface Entry {
  id: string
  email: string
  names: Set<string>
  passwords: Set<string>
  /** Whether the module is enabled. */
  enabled: Set<boolean>
  gone: 'no' | 'perhaps' | 'yes'
  /** Whether auth may not have the newest password yet. */
  isLate: boolean
  sessions: Held[]
}

interface Held {
  access: string
  /** The newest refresh token. */
  refresh: string
  /** `soon`: the session has ended, and the other services learn of it within a second. */
  ended: 'no' | 'perhaps' | 'soon' | 'yes'
}

/** Milliseconds after which an answer waits no longer until auth has acknowledged a change. */
const ACKNOWLEDGEMENT_MS = 1000

/** Called after each write with its answer, or undefined without one. The client waits for what it returns. */
export type Watch = (request: string, answer: Answer | undefined) => Promise<void> | void

/** A client that sends one request after the other, about users of its own. */
export class Writer {
  /** Number of acknowledged writes. */
  acknowledged = 0
  private entries: Entry[] = []
  private counter = 0

  constructor(
    private readonly system: System,
    private readonly random: () => number,
    private readonly module: string,
    private readonly watch: Watch = () => undefined,
    /** Statuses that an answer may have for another reason than a defect, at the moment. */
    private readonly mayAnswer: () => readonly number[] = () => [],
  ) {}

  /** Writes until `stop`. Continues after a request that breaks off, or is refused because a service is down. */
  async write(stop: () => boolean): Promise<void> {
    while (!stop()) await this.step()
  }

  private async step(): Promise<void> {
    const entry = this.entries.at(-1)
    if (entry?.gone !== 'no' || this.random() < 0.1) return this.create()
    const dice = this.random()
    const session = entry.sessions.findLast(({ ended }) => ended === 'no')
    if (!session || dice < 0.15) return this.logIn(entry)
    if (dice < 0.5) return this.refresh(session)
    if (dice < 0.65) return this.rename(entry)
    if (dice < 0.8) return this.switchModule(entry)
    if (dice < 0.9) return this.logOut(session)
    if (dice < 0.96) return this.setPassword(entry)
    return this.remove(entry)
  }

  /** Sends a write. Undefined: it is unknown whether the write was done. @param refusals further statuses that may come */
  private async ask(
    base: string,
    request: string,
    options: Parameters<typeof call>[2] = {},
    refusals: readonly number[] = [],
  ): Promise<Answer | undefined> {
    try {
      const answer = await call(base, request, options)
      await this.watch(request, answer)
      if (answer.status < 300) {
        this.acknowledged++
        return answer
      }
      // Refused while another service is down. Any other failure is a defect.
      if ([503, ...refusals, ...this.mayAnswer()].includes(answer.status)) return undefined
      throw new Error(`${request}: ${answer.status} ${answer.text}`)
    } catch (error) {
      if (error instanceof Error && /^(GET|POST|PATCH|DELETE) /.test(error.message)) throw error
      await this.watch(request, undefined)
      // The process was killed: wait until it is back.
      await Bun.sleep(2)
      return undefined
    }
  }

  private async create(): Promise<void> {
    const [email, password, name] = [newEmail(), this.word(), this.word()]
    const body = { email, password, name }
    const answer = await this.ask(this.system.url.users, 'POST /api/v1/users', { headers: as.operator, body })
    // Without the id nothing can be compared, except that the user is complete or does not exist.
    if (!answer) return
    this.entries.push({
      id: answer.body.id,
      email,
      names: new Set([name]),
      passwords: new Set([password]),
      enabled: new Set([false]),
      gone: 'no',
      isLate: false,
      sessions: [],
    })
  }

  private async logIn(entry: Entry): Promise<void> {
    const [password] = entry.passwords
    if (entry.passwords.size !== 1) return
    const body = { email: entry.email, password }
    const answer = await this.ask(this.system.url.auth, 'POST /api/v1/auth/login', { body }, entry.isLate ? [401] : [])
    if (!answer) return
    entry.isLate = false
    entry.sessions.push({ access: answer.body.access_token, refresh: answer.body.refresh_token, ended: 'no' })
  }

  private async refresh(session: Held): Promise<void> {
    const body = { refresh_token: session.refresh }
    const answer = await this.ask(this.system.url.auth, 'POST /api/v1/auth/refresh', { body })
    if (answer) Object.assign(session, { access: answer.body.access_token, refresh: answer.body.refresh_token })
  }

  private async rename(entry: Entry): Promise<void> {
    const name = this.word()
    entry.names.add(name)
    const request = `PATCH /api/v1/users/${entry.id}`
    const answer = await this.ask(this.system.url.users, request, { headers: as.operator, body: { name } })
    if (answer) entry.names = new Set([name])
  }

  private async switchModule(entry: Entry): Promise<void> {
    const [now = false] = entry.enabled
    entry.enabled.add(!now)
    const request = `POST /api/v1/modules/${this.module}/${now ? 'disable' : 'enable'}`
    const answer = await this.ask(this.system.url.modules, request, {
      headers: as.operator,
      body: { user_id: entry.id },
    })
    if (answer) entry.enabled = new Set([!now])
  }

  private async logOut(session: Held): Promise<void> {
    session.ended = 'perhaps'
    const headers = as.bearer(session.access)
    if (await this.ask(this.system.url.auth, 'POST /api/v1/auth/logout', { headers })) session.ended = 'yes'
  }

  private async setPassword(entry: Entry): Promise<void> {
    const password = this.word()
    entry.passwords.add(password)
    const live = entry.sessions.filter(({ ended }) => ended === 'no')
    for (const session of live) session.ended = 'perhaps'
    const request = `POST /api/v1/users/${entry.id}/set-password`
    const began = performance.now()
    const answer = await this.ask(this.system.url.users, request, {
      headers: as.operator,
      body: { new_password: password },
    })
    entry.isLate = performance.now() - began >= ACKNOWLEDGEMENT_MS
    if (!answer) return
    entry.passwords = new Set([password])
    for (const session of live) session.ended = 'yes'
  }

  private async remove(entry: Entry): Promise<void> {
    entry.gone = 'perhaps'
    const live = entry.sessions.filter(({ ended }) => ended === 'no')
    for (const session of live) session.ended = 'perhaps'
    if (!(await this.ask(this.system.url.users, `DELETE /api/v1/users/${entry.id}`, { headers: as.operator }))) return
    entry.gone = 'yes'
    for (const session of live) session.ended = 'yes'
  }

  private word(): string {
    return `word ${++this.counter} ${Math.floor(this.random() * 1e9).toString(36)}`
  }

  /** Compares the instance with the ledger and returns the differences. Open alternatives are settled by the result. */
  async differences(): Promise<string[]> {
    const differences: string[] = []
    for (const entry of this.entries) differences.push(...(await this.entryDifferences(entry)))
    // Entries need one comparison only, except the latest, which the client still changes.
    this.entries = this.entries.slice(-1)
    return differences
  }

  private async entryDifferences(entry: Entry): Promise<string[]> {
    const { system } = this
    const differences: string[] = []
    const user = await call(system.url.users, `GET /api/v1/users/${entry.id}`, { headers: as.operator })
    const exists = user.status === 200
    if (!exists && user.status !== 404) differences.push(`user ${entry.id} is ${user.status}`)
    if (exists && entry.gone === 'yes') differences.push(`user ${entry.id} was deleted and is there`)
    if (!exists && entry.gone === 'no') differences.push(`user ${entry.id} was made and is gone`)
    if (exists && !entry.names.has(user.body.name)) differences.push(`user ${entry.id} has an older name`)
    if (exists) entry.names = new Set([user.body.name])
    entry.gone = exists ? 'no' : 'yes'
    if (!exists) for (const session of entry.sessions) session.ended = session.ended === 'yes' ? 'yes' : 'soon'
    else differences.push(...(await this.passwordDifferences(entry)), ...(await this.moduleDifferences(entry)))
    for (const session of entry.sessions) differences.push(...(await this.sessionDifferences(entry, session)))
    entry.sessions = entry.sessions.filter(({ ended }) => ended === 'no')
    return differences
  }

  private async passwordDifferences(entry: Entry): Promise<string[]> {
    const right: string[] = []
    for (const password of entry.passwords) {
      const body = { login: entry.email, password }
      const answer = await call(this.system.url.users, 'POST /api/v1/users/verify-credentials', {
        headers: as.internal,
        body,
      })
      if (answer.body.valid) right.push(password)
    }
    const [password] = right
    if (right.length !== 1 || password === undefined) return [`user ${entry.id} has none of the passwords it may have`]
    entry.passwords = new Set([password])
    const end = performance.now() + PATIENCE
    for (;;) {
      const body = { email: entry.email, password }
      const login = await call(this.system.url.auth, 'POST /api/v1/auth/login', { body })
      if (login.status === 200) return []
      if (performance.now() > end) return [`user ${entry.id} can't log in: ${login.status} ${login.text}`]
      await Bun.sleep(50)
    }
  }

  private async moduleDifferences(entry: Entry): Promise<string[]> {
    const answer = await call(this.system.url.modules, `GET /api/v1/modules/users/${entry.id}`, {
      headers: as.operator,
    })
    const enabled = answer.body.modules?.includes(this.module)
    if (!entry.enabled.has(enabled)) return [`module of ${entry.id}: ${answer.status} ${answer.text}`]
    entry.enabled = new Set([enabled])
    return []
  }

  private async sessionDifferences(entry: Entry, session: Held): Promise<string[]> {
    const end = performance.now() + PATIENCE
    for (;;) {
      const statuses = await this.statusesOf(entry, session)
      const all = (status: number) => statuses.every((one) => one === status)
      const right = { no: all(200), perhaps: all(200) || all(401), soon: all(401), yes: all(401) }[session.ended]
      if (right) {
        session.ended = all(200) ? 'no' : 'yes'
        return []
      }
      // A change without an answer may still be under way; an acknowledged one must be effective.
      const isCertain = session.ended === 'no' || session.ended === 'yes'
      if (isCertain || performance.now() > end)
        return [`session of ${entry.id} (ended: ${session.ended}, user gone: ${entry.gone}): ${statuses}`]
      await Bun.sleep(50)
    }
  }

  /** Statuses of auth, users and modules for the access token, and of auth for the refresh token. */
  private async statusesOf({ id }: Entry, session: Held): Promise<number[]> {
    const { auth, modules, users } = this.system.url
    const headers = as.bearer(session.access)
    const answers = await Promise.all([
      call(auth, 'GET /api/v1/auth/me', { headers }),
      call(users, `GET /api/v1/users/${id}`, { headers }),
      call(modules, 'GET /api/v1/modules/', { headers }),
    ])
    const refreshed = await call(auth, 'POST /api/v1/auth/refresh', { body: { refresh_token: session.refresh } })
    if (refreshed.status === 200)
      Object.assign(session, { access: refreshed.body.access_token, refresh: refreshed.body.refresh_token })
    return [...answers, refreshed].map(({ status }) => status)
  }
}
