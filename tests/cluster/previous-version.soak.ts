import { afterAll, describe, expect, test } from 'bun:test'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SQL } from 'bun'
import { createUser, logIn, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import { newSystemDatabase, type SystemDatabase } from '../support/postgres/system-database.ts'
import { type Process, untilReady } from '../support/processes.ts'
import { newAddresses, systemSettings } from '../support/settings.ts'
import { ROOT, runTool, temporary } from '../support/tool.ts'

/** The last commit without the newest migration: move both on when one is added. */
const PREVIOUS = process.env.SOAK_PREVIOUS ?? 'efe0516910f0eafe42afb03ddf445e2eee98585d'
const NEWEST = '0008_erasures'

const folder = temporary('previous')
afterAll(() => folder.remove())

/** Unpacks the previous version from the history of the repository. @throws Error when the history lacks it */
async function unpackPrevious(): Promise<string> {
  const root = join(folder.path, 'previous')
  mkdirSync(root)
  const { exited, stderr } = Bun.spawn(['sh', '-c', 'git archive "$0" | tar -x -C "$1"', PREVIOUS, root], {
    cwd: ROOT,
    stderr: 'pipe',
  })
  const printed = await new Response(stderr).text()
  if ((await exited) !== 0 || printed) throw new Error(`The commit ${PREVIOUS} cannot be had: ${printed}`)
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  return root
}

async function serve(root: string, env: Record<string, string>, print: (text: string) => void): Promise<Process> {
  const child = Bun.spawn([process.execPath, 'cli/main.ts', 'serve'], {
    cwd: root,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  await untilReady(child, 'serve', print)
  return child
}

describe('a node of the previous version', () => {
  test('keeps working while `ch202 migrate` updates the schema, and after it until it is replaced', async () => {
    const database = await newSystemDatabase('together')
    const addresses = newAddresses('together')
    const env = systemSettings(folder.fresh(), addresses, {
      RATE_LIMIT: 'off',
      LOG_LEVEL: 'warn',
      DATABASE_URL: database.addressOf('auth'),
    })
    const system = { url: addresses.url }
    let printed = ''
    const print = (text: string) => {
      printed += text
    }
    let node = await serve(await unpackPrevious(), env, print)
    let beside: Process | undefined
    try {
      const module = { id: 'map', name: 'map', description: '', version: '1', requires: [] }
      expect((await call(system.url.modules, 'POST /modules', { headers: as.operator, body: module })).status).toBe(201)
      const load = startLoad(system)
      await eventually(() => load.rounds() > 20)
      const migrated = await runTool(['migrate'], { env })
      expect([migrated.status, migrated.stderr]).toEqual([0, ''])
      expect(migrated.stdout).toContain(NEWEST)
      const before = load.rounds()
      await eventually(() => load.rounds() > before + 50)
      // Nodes of both versions write to the audit at once.
      const nextAddresses = newAddresses('together')
      const nextEnv = { ...env, ...systemSettings(folder.fresh(), nextAddresses), NODE_NAME: 'beside' }
      beside = await serve(ROOT, nextEnv, print)
      const nextLoad = startLoad({ url: nextAddresses.url })
      await eventually(() => nextLoad.rounds() > 50)
      const [{ users, wrong }, onNext] = await Promise.all([load.stop(), nextLoad.stop()])
      expect([wrong, onNext.wrong]).toEqual([[], []])
      // The notices too were delivered, without a failure that is only logged.
      await eventually(async () => (await countNotices(database)) === 0)
      expect(printed.split('\n').filter((line) => /"level":[45]0/.test(line))).toEqual([])

      node.kill('SIGTERM')
      expect(await node.exited).toBe(0)
      node = await serve(ROOT, { ...env, NODE_NAME: 'next' }, print)
      for (const { email, tokens } of users) {
        const { access_token } = (await logIn(system, email)).body
        expect(access_token).toBeString()
        const body = { refresh_token: tokens.refresh_token }
        expect((await call(system.url.auth, 'POST /api/v1/auth/refresh', { body })).status).toBe(200)
      }
      const audit = await runTool(['backup', 'verify', '--from', database.addressOf('auth')], { env })
      expect([audit.status, audit.stdout]).toEqual([0, expect.any(String)])
    } finally {
      for (const process of [node, beside]) process?.kill('SIGKILL')
      await Promise.all([node.exited, beside?.exited])
      await database.remove()
    }
  })
})

/** The notices that are not delivered yet. */
async function countNotices({ adminUrl }: SystemDatabase): Promise<number> {
  const sql = new SQL(adminUrl)
  const [row] = await sql`SELECT (SELECT count(*) FROM users.outbox) + (SELECT count(*) FROM modules.outbox) AS count`
  await sql.close()
  return Number(row.count)
}

/** Calls of every kind, one user after the other: each makes notices from users to auth, and from auth to users. */
function startLoad(system: Parameters<typeof createUser>[0]) {
  const users: TestUser[] = []
  const wrong: string[] = []
  let isRunning = true
  const check = (name: string, answer: Answer, status: number) => {
    if (answer.status !== status) wrong.push(`${name}: ${answer.status} ${answer.text}`)
    return answer
  }
  const round = async () => {
    const user = users.length % 2 === 0 ? await registerUser(system) : await createUser(system)
    const { auth, modules, users: accounts } = system.url
    const { body } = check(
      'refresh',
      await call(auth, 'POST /api/v1/auth/refresh', { body: { refresh_token: user.tokens.refresh_token } }),
      200,
    )
    const bearer = as.bearer(body.access_token)
    check('enable', await call(modules, 'POST /modules/map/enable', { headers: bearer }), 200)
    check(
      'rename',
      await call(accounts, `PATCH /users/${user.id}`, { headers: bearer, body: { name: 'Another Name' } }),
      200,
    )
    const second = (await logIn(system, user.email)).body
    check('logout', await call(auth, 'POST /auth/logout', { headers: as.bearer(second.access_token) }), 204)
    check('ended', await call(accounts, `GET /users/${user.id}`, { headers: as.bearer(second.access_token) }), 401)
    users.push({ ...user, tokens: body })
  }
  const loop = async () => {
    while (isRunning) {
      await round().catch((error) => wrong.push(String(error)))
      await sleep(5)
    }
  }
  const loops = [loop(), loop()]
  return {
    rounds: () => users.length + wrong.length,
    async stop() {
      isRunning = false
      await Promise.all(loops)
      return { users, wrong }
    },
  }
}
