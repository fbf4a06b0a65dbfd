import { newEmail, PASSWORD } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { addWebhook, outboxesEmpty } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, call, jsonLines, parseLines } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { type Cut, startPostgresProxy } from '../support/postgres/proxy.ts'
import { runStatements, sharedPostgres } from '../support/postgres/shared.ts'
import { type InProcessSystem, inProcess } from '../support/system.ts'
import { ownSettings, runTool } from '../support/tool.ts'
import { Writer } from './ledger.ts'
import { seeded } from './rounds.ts'

// Services whose connections to PostgreSQL break at COMMIT, before the server gets it or before its answer arrives.

const MODULE = 'faults'
/** Clients that write about users of their own, and clients that add users and repeat what failed. */
const WRITERS = 6
const ADDERS = 4
/** Share of the commits that break. */
const SHARE = 0.15
/** Lines of an import. */
const LINES = 5

export interface CutFigures {
  /** Writes that were acknowledged. */
  acknowledged: number
  /** Commits that broke, by the moment. */
  cuts: Record<Cut, number>
  /** Requests of those who repeat that were answered with 503. */
  unavailable: number
  differences: string[]
}

/**
 * Lets clients write while commits break, and compares what the services then have with the answers that the clients got.
 * @param goal acknowledged writes
 */
export async function cutCommits(seed: number, goal: number): Promise<CutFigures> {
  const random = seeded(seed)
  const cuts: Record<Cut, number> = { before: 0, after: 0 }
  let isCutting = false
  const { adminUrl, newDatabase } = await sharedPostgres()
  const address = await newDatabase()
  const proxy = await startPostgresProxy(Number(new URL(address).port), {
    atCommit() {
      if (!isCutting || random() >= SHARE) return undefined
      const cut = random() < 0.5 ? 'before' : 'after'
      cuts[cut]++
      return cut
    },
  })
  // A client continues with its earlier token when a refresh failed, however long that takes on a busy machine.
  const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', REFRESH_REUSE_GRACE: '2h' }
  const system = await inProcess({ ...env, DATABASE_URL: proxy.addressOf(address) })
  const rows: Rows = (service, query) =>
    databaseRows({ ...system, database: { adminUrl: adminUrl(address) } as never }, service, query)
  try {
    // A revocation of a user without sessions expires at once, and is removed within a minute.
    await runStatements(adminUrl(address), 'CREATE RULE complete AS ON DELETE TO auth.revocations DO INSTEAD NOTHING')
    await addWebhook(system)
    const module = { id: MODULE, name: 'Faults', description: 'What the writers switch' }
    await call(system.url.modules, 'POST /api/v1/modules', { headers: as.operator, body: module })
    const writers = Array.from({ length: WRITERS }, () => new Writer(system, random, MODULE))
    const adders = Array.from({ length: ADDERS }, () => new Adder(system, random))
    const acknowledged = () => [...writers, ...adders].reduce((sum, client) => sum + client.acknowledged, 0)
    const failures: string[] = []
    const isOver = () => acknowledged() >= goal || failures.length > 0
    const fail = (error: unknown) => void failures.push(String(error))
    isCutting = true
    await Promise.all([...writers, ...adders].map((client) => client.write(isOver).catch(fail)))
    isCutting = false
    await outboxesEmpty(system)
    const differences = [
      ...failures,
      ...(await Promise.all(writers.map((writer) => writer.differences()))).flat(),
      ...(await Promise.all(adders.map((adder) => adder.differences()))).flat(),
      ...(await doubled(rows)),
      ...(await broken(system, adminUrl(address))),
    ]
    const unavailable = adders.reduce((sum, adder) => sum + adder.unavailable, 0)
    return { acknowledged: acknowledged(), cuts, unavailable, differences }
  } finally {
    await system.stop()
    proxy.stop()
  }
}

type Rows = (service: 'auth' | 'users' | 'modules', query: string) => Promise<Record<string, unknown>[]>

interface Added {
  email: string
  id: string
  tokens?: { access_token: string }
}

/** A client that adds users in several ways, one request after the other, and repeats what failed until it is answered. */
class Adder {
  acknowledged = 0
  unavailable = 0
  private readonly added: Added[] = []
  private readonly wrong: string[] = []

  constructor(
    private readonly system: InProcessSystem,
    private readonly random: () => number,
  ) {}

  async write(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const dice = this.random()
      if (dice < 0.4) await this.add('register')
      else if (dice < 0.7) await this.add('create')
      else await this.importLines()
    }
  }

  /** Registers a user, or creates one with the operator key. After a 503 the user may exist. */
  private async add(way: 'register' | 'create'): Promise<void> {
    const { auth, users } = this.system.url
    const email = newEmail()
    const body = { email, password: PASSWORD }
    for (let isRepeated = false; ; isRepeated = true) {
      const answer =
        way === 'register'
          ? await this.ask(auth, 'POST /api/v1/auth/register', { body })
          : await this.ask(users, 'POST /api/v1/users', { body, headers: as.operator })
      if (!answer) continue
      const { id, tokens } = answer.body
      if (answer.status === 201) this.added.push({ email, id, tokens })
      else if (answer.status === 409 && answer.body.code === 'email_taken' && isRepeated) {
        const user = await this.find(email)
        if (user.status === 200) this.added.push({ email, id: user.body.id })
        else this.wrong.push(`${email} is taken and does not exist: ${user.status}`)
      } else
        this.wrong.push(`${way}, ${isRepeated ? 'repeated' : 'for the first time'}: ${answer.status} ${answer.text}`)
      return
    }
  }

  /** Imports users. After a failure all lines are sent again: those that were written are then skipped. */
  private async importLines(): Promise<void> {
    const emails = Array.from({ length: LINES }, () => newEmail())
    const lines = emails.map((email) => ({ email, password: PASSWORD }))
    const created = new Map<string, string>()
    for (let onConflict = 'fail'; ; onConflict = 'skip') {
      const request = `POST /api/v1/users/import?on_conflict=${onConflict}`
      const answer = await this.ask(this.system.url.users, request, jsonLines(lines)).catch(() => undefined)
      if (!answer) continue
      if (answer.status !== 200) return void this.wrong.push(`import: ${answer.status} ${answer.text}`)
      const results: { line: number; status: string; id?: string; code?: string }[] = parseLines(answer)
      for (const { id = '', line, status } of results)
        if (status === 'created') {
          const email = emails[line - 1] ?? ''
          if (created.has(email)) this.wrong.push(`the import has created ${email} twice`)
          created.set(email, id)
        }
      if (results.filter(({ status }) => status === 'created' || status === 'skipped').length < LINES) {
        const unexpected = results.filter(({ code, status }) => status === 'failed' && code !== 'database_unavailable')
        if (unexpected.length > 0) return void this.wrong.push(`import: ${JSON.stringify(unexpected)}`)
        continue
      }
      for (const email of emails) this.added.push({ email, id: created.get(email) ?? '' })
      return
    }
  }

  /** Sends a request. Undefined: it was answered with 503, and may have been done. */
  private async ask(base: string, request: string, options: Parameters<typeof call>[2]): Promise<Answer | undefined> {
    const answer = await call(base, request, options)
    if (answer.status < 300) this.acknowledged++
    if (answer.status !== 503) return answer
    this.unavailable++
    if (answer.body.code !== 'database_unavailable') this.wrong.push(`${request}: ${answer.text}`)
    return undefined
  }

  /** Finds a user. A question whose connection broke is repeated. */
  private async find(email: string): Promise<Answer> {
    const request = `GET /api/v1/users/by-email/${encodeURIComponent(email)}`
    const ask = () => call(this.system.url.users, request, { headers: as.operator })
    let answer = await ask()
    while (answer.status === 503) answer = await ask()
    return answer
  }

  /** Compares the services with what was acknowledged. */
  async differences(): Promise<string[]> {
    const wrong = [...this.wrong]
    for (const { email, id, tokens } of this.added) {
      const user = await this.find(email)
      if (user.status !== 200) wrong.push(`${email} was added and is ${user.status}`)
      else if (id && user.body.id !== id) wrong.push(`${email} was added as ${id} and is ${user.body.id}`)
      const login = { body: { login: email, password: PASSWORD } }
      const { status, text } = await call(this.system.url.auth, 'POST /api/v1/auth/login', login)
      if (status !== 200) wrong.push(`${email} cannot log in: ${status} ${text}`)
      if (tokens && !Bun.deepEquals(await askEach(this.system, tokens.access_token), all(200)))
        wrong.push(`the first token of ${email} is refused`)
    }
    return wrong
  }
}

/** Lists what is in the databases twice, or is missing beside a row that was written with it. */
async function doubled(rows: Rows): Promise<string[]> {
  const wrong: string[] = []
  const users = await rows('users', 'SELECT id, email_key FROM users')
  if (new Set(users.map(({ email_key }) => email_key)).size < users.length) wrong.push('two users have one email')
  const removed = await rows('users', 'SELECT id FROM deleted_ids')

  // Webhooks are told once about each change.
  const events = await rows(
    'auth',
    'SELECT type, user_id, event_id FROM deliveries JOIN events ON events.id = event_id ORDER BY deliveries.seq',
  )
  const about = Map.groupBy(events, ({ user_id }) => user_id)
  const times = (id: unknown, type: string) => about.get(id)?.filter((event) => event.type === type).length ?? 0
  for (const { id } of [...users, ...removed])
    if (times(id, 'user.created') !== 1) wrong.push(`${id}: ${times(id, 'user.created')} events user.created`)
  for (const { id } of removed)
    if (times(id, 'user.deleted') !== 1) wrong.push(`${id}: ${times(id, 'user.deleted')} events user.deleted`)
  const existing = new Set([...users, ...removed].map(({ id }) => id))
  for (const id of about.keys()) if (id !== null && !existing.has(id)) wrong.push(`an event about ${id}, who never was`)

  await eventually(async () => (await rows('auth', 'SELECT 1 FROM unchained_audit LIMIT 1')).length === 0)
  const audit = await rows('auth', 'SELECT id, type, user_id, detail FROM audit ORDER BY seq')
  const rowsAbout = Map.groupBy(audit, ({ user_id }) => user_id)
  let created = 0
  for (const { detail, type } of audit)
    if (type === 'users.created') created += JSON.parse(String(detail)).users
    else if (type === 'user.created') created++
  if (created !== existing.size) wrong.push(`the audit has ${created} users created; there were ${existing.size}`)
  for (const [kind, list] of [
    ['events', about],
    ['rows of the audit', rowsAbout],
  ] as const)
    for (const [id, entries] of list) {
      const switches = entries.map(({ type }) => String(type)).filter((type) => /^module\.(en|dis)abled$/.test(type))
      const alternating = switches.map((_, n) => (n % 2 ? 'module.disabled' : 'module.enabled'))
      if (!Bun.deepEquals(switches, alternating)) wrong.push(`${kind} about ${id}: ${switches}`)
    }

  // Nothing is removed from the feed here: the last number that was given is that of its last entry.
  const [feed] = await rows(
    'auth',
    `SELECT (SELECT max(seq) FROM auth.revocations) AS seq, CAST(value AS bigint) AS given
     FROM auth.facts WHERE name = 'last_revocation'`,
  )
  if (feed?.seq !== feed?.given) wrong.push(`the feed of revocations ends at ${feed?.seq}, not at ${feed?.given}`)
  return wrong
}

/** Lists what `doctor` reports of the audit's chain, of the copies of users at auth, and of undelivered notices. */
async function broken({ dataDir }: InProcessSystem, databaseUrl: string): Promise<string[]> {
  const env = ownSettings(dataDir, { DATABASE_URL: databaseUrl })
  const items = await eventually(async () => {
    const words = ['doctor', '--only', 'audit,cache,outbox,db', '-o', 'json']
    const { stdout } = await runTool(words, { env })
    const list: { id: string; status: string; message: string }[] = JSON.parse(stdout).items
    // A notice may be on its way.
    return list.some(({ id, status }) => /^(cache|outbox)/.test(id) && status !== 'ok') ? undefined : list
  })
  const wrong = items.filter(({ status }) => status !== 'ok').map(({ id, message }) => `${id}: ${message}`)
  for (const id of ['audit.chain', 'cache.drift'])
    if (!items.some((item) => item.id === id)) wrong.push(`doctor has not checked ${id}`)
  return wrong
}
