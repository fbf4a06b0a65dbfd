import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, byOperator, call, jsonLines } from '../support/http.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { emptyResponse, receivers, verified } from '../support/servers/receiver.ts'
import { runTool } from '../support/tool.ts'

const ADMIN = '/api/v1/admin/webhooks'

const receiver = receivers()

describe('webhooks of services in four processes', () => {
  const here = running(overProcesses('apart'), { RATE_LIMIT: 'off', LOG_LEVEL: 'debug' })

  const addWebhook = async (url: string, more: object = {}) => {
    const answer = await call(here.system.url.auth, `POST ${ADMIN}`, byOperator({ url, ...more }))
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([201, 'no-store'])
    return answer.body
  }
  const deleteWebhook = (id: string) => call(here.system.url.auth, `DELETE ${ADMIN}/${id}`, byOperator())

  test('every event after a webhook was added is sent to the webhook, from every service', async () => {
    for (let round = 0; round < 5; round++) {
      const to = receiver()
      const { id, secret } = await addWebhook(to.url, { types: ['user.created', 'module.enabled'] })
      const user = await registerUser(here.system)
      const body = { id: `shop-${round}`, name: 'Shop', description: 'Sells' }
      await call(here.system.url.modules, 'POST /api/v1/modules', byOperator(body))
      await call(here.system.url.modules, `POST /api/v1/modules/shop-${round}/enable`, byOperator({ user_id: user.id }))
      const received = await to.has(2)
      expect(received.map((one) => verified(secret, one).type).toSorted()).toEqual(['module.enabled', 'user.created'])
      expect((await deleteWebhook(id)).status).toBe(204)
    }
  })

  test('deliveries that were under way when auth was killed arrive after its restart', async () => {
    const to = receiver(() => new Promise<Response>(() => undefined))
    const away = receiver(() => emptyResponse(500))
    const { id, secret } = await addWebhook(to.url, { types: ['user.created'] })
    const other = await addWebhook(away.url, { types: ['user.created'] })
    const users = await Promise.all(Array.from({ length: 6 }, () => registerUser(here.system)))
    const underWay = (await to.has(4)).map((one) => one.id)
    await away.has(6)
    await here.system.kill('auth')
    for (const one of [to, away]) one.answers = () => emptyResponse(200)
    await here.system.start('auth')
    const expected = users.map((user) => user.id).toSorted()
    for (const [one, key] of [
      [to, secret],
      [away, other.secret],
    ] as const) {
      const newMessages = () => one.received.slice(one === to ? 4 : 6)
      await eventually(() => new Set(newMessages().map((each) => each.id)).size === 6)
      expect([...new Set(newMessages().map((each) => verified(key, each).data.user_id))].toSorted()).toEqual(expected)
    }
    for (const one of underWay) expect(to.received.filter((each) => each.id === one).length).toBeGreaterThan(1)
    for (const one of [id, other.id]) await deleteWebhook(one)
  })

  test('hundreds of failed deliveries are few lines in the log', async () => {
    const { id } = await addWebhook('http://127.0.0.1:9/')
    const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
    const users = Array.from({ length: 300 }, () => ({ email: newEmail(), password_hash }))
    await call(here.system.url.users, 'POST /api/v1/users/import', jsonLines(users))
    const lines = (level: string) =>
      here.system
        .output()
        .match(new RegExp(`"level":"${level}".*"event":"delivery.postponed","target":"${id}"`, 'g')) ?? []
    await eventually(() => lines('debug').length >= 250)
    expect(lines('warn').length).toBeGreaterThan(0)
    expect(lines('warn').length).toBeLessThan(30)
    await deleteWebhook(id)
  })

  test('a secret is returned once: no later answer, log or file contains it in plain text, and no log has the payloads', async () => {
    const to = receiver((_, at) => emptyResponse(at === 1 ? 500 : 200))
    const { id, secret } = await addWebhook(`${to.url}?canary-of-the-address`, { description: 'The shop' })
    const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64')
    expect([secret.startsWith('whsec_'), bytes.length]).toEqual([true, 32])
    const { email } = await registerUser(here.system, { name: 'Canary Name' })
    await to.has(3)
    const answers = await Promise.all(
      [`GET ${ADMIN}`, `GET ${ADMIN}/deliveries`, 'GET /api/v1/admin/audit?size=200'].map((request) =>
        call(here.system.url.auth, request, byOperator()),
      ),
    )
    expect(answers[0]?.body.items).toEqual([
      {
        id,
        url: `${to.url}?canary-of-the-address`,
        description: 'The shop',
        types: [],
        status: 'active',
        created_at: expect.any(String),
      },
    ])
    const files = readdirSync(here.system.dataDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
    const places = [...answers.map(({ text }) => Buffer.from(text)), Buffer.from(here.system.output()), ...files]
    expect(places.length).toBeGreaterThan(6)
    for (const needle of [secret, secret.slice(6), bytes])
      expect(places.some((place) => place.includes(needle))).toBe(false)
    const log = here.system.output()
    expect(log).toMatch(new RegExp(`"event":"delivery.postponed","target":"${id}","id":"[0-9a-f-]{36}","tries":1`))
    expect(log).toContain('"event":"delivery.delivered"')
    for (const needle of ['canary-of-the-address', 'Canary Name', email]) expect(log.includes(needle)).toBe(false)
    const database = new Database(join(here.system.dataDir, 'auth.sqlite'), { readonly: true })
    expect(database.query('SELECT length(sealed_secret) AS length FROM webhooks').all()).toEqual([{ length: 60 }])
    database.close()
    await deleteWebhook(id)
  })

  test('the tool shows a secret once, lists failed deliveries and replays them', async () => {
    const to = receiver(() => emptyResponse(410))
    const env = {
      CH202_DATA_DIR: here.system.dataDir,
      OPERATOR_API_KEY: as.operator['x-api-key'],
      AUTH_URL: here.system.url.auth,
    }
    const run = async (line: string, expected = 0) => {
      const ended = await runTool(line.split(' '), { env })
      if (ended.status !== expected) throw new Error(`${line}: ${ended.status} ${ended.stdout} ${ended.stderr}`)
      return ended.stdout
    }
    const json = async (line: string) => JSON.parse(await run(`${line} -o json`))
    const { id, secret, changed } = await json(`webhooks create ${to.url} --types user.created,session.created`)
    expect([changed, secret.slice(0, 6)]).toEqual([true, 'whsec_'])
    expect(await json('webhooks list')).toEqual({
      items: [expect.objectContaining({ id, types: ['user.created', 'session.created'], status: 'active' })],
    })
    expect(await run('webhooks list')).not.toContain('whsec_')
    await registerUser(here.system)
    await eventually(async () => (await json('webhooks list')).items[0].status === 'disabled')
    const dead = (await json(`webhooks deliveries --status dead --webhook ${id}`)).items
    expect(dead.length).toBeGreaterThan(0)
    expect(await run(`webhooks deliveries --webhook ${id} -o ids`)).toContain(`${dead[0].id}\n`)

    to.answers = () => emptyResponse(200)
    expect(await json(`webhooks enable ${id}`)).toMatchObject({ status: 'active', changed: true })
    expect(await json(`webhooks enable ${id}`)).toMatchObject({ status: 'active', changed: false })
    const before = to.received.length
    // A replay may be large, so it needs a confirmation.
    expect(await run('webhooks replay -o json', 2)).toContain('--yes')
    expect(await json(`webhooks replay ${dead[0].id}`)).toEqual({ replayed: 1, changed: true })
    verified(secret, (await to.has(before + 1)).at(-1) as never)
    expect(await json(`webhooks replay --webhook ${id} --yes`)).toMatchObject({ replayed: dead.length - 1 })
    await run(`webhooks replay ${dead[0].id} --webhook ${id}`, 2)
    // R29: a failed delivery waits for a second, then for longer.
    to.answers = () => emptyResponse(503, { 'retry-after': '3600' })
    await registerUser(here.system)
    const waiting = await eventually(async () => {
      const { items } = await json(`webhooks deliveries --status pending --webhook ${id}`)
      return items.length === 2 && items.every(({ tries }: { tries: number }) => tries === 1) ? items : undefined
    })
    to.answers = () => emptyResponse(200)
    expect(await json(`webhooks replay ${waiting[0].id}`)).toEqual({ replayed: 1, changed: true })
    await eventually(async () => (await json('webhooks deliveries --status pending')).items.length === 1)
    expect(await run('webhooks replay --status pending -o json', 2)).toContain('Send all pending deliveries again?')
    expect(await json('webhooks replay --status pending --yes')).toEqual({ replayed: 1, changed: true })
    await eventually(async () => (await json('webhooks deliveries --status pending')).items.length === 0)
    await run('webhooks create http://127.0.0.1:9 --types user.born', 2)
    await run(`webhooks enable ${crypto.randomUUID()}`, 3)

    // In a terminal the tool explains an empty list, and why nothing was sent.
    const forAll = await json(`webhooks create ${to.url}`)
    expect(forAll.types).toEqual([])
    expect(await run('webhooks list')).toMatch(new RegExp(`^${forAll.id} .* all +active$`, 'm'))
    const none = await runTool(['webhooks', 'replay', '999999'], { env })
    expect([none.status, none.stdout]).toEqual([0, 'replayed  0\nchanged   false\n'])
    expect(none.stderr).toContain('Delivery 999999 was not sent again')
    await run(`webhooks delete ${forAll.id} --yes`)

    await run(`webhooks delete ${id}`, 2)
    expect(await json(`webhooks delete ${id} --yes`)).toEqual({ ok: true, id, changed: true })
    expect(await json(`webhooks delete ${id} --yes`)).toEqual({ ok: true, id, changed: false })
  })
})
