import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../../package.json'
import { ofEachService, SERVICE_NAMES, SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { PROMPT } from '../support/eventually.ts'
import { freePort } from '../support/servers/ports.ts'
import { launch, ownSettings, type Running, runTool, temporary } from '../support/tool.ts'

// Processes start slowly on a busy machine; what has to be quick is measured.
setDefaultTimeout(120_000)

const folder = temporary('health-ps')
const started = new Set<Running>()
afterAll(() => {
  for (const running of started) running.signal('SIGKILL')
  folder.remove()
})

function start(env: Record<string, string>, ...names: string[]): Running {
  const running = launch([process.execPath, 'cli/main.ts', 'serve', ...names], { env })
  started.add(running)
  running.ended.finally(() => started.delete(running))
  return running
}
const json = async (env: Record<string, string>, ...words: string[]) => {
  const ended = await runTool([...words, '-o', 'json'], { env })
  return { ...ended, body: JSON.parse(ended.stdout) }
}
const states = (items: { service: string; state?: string; status?: string }[]) =>
  Object.fromEntries(items.map(({ service, state, status }) => [service, state ?? status]))

/** An environment without addresses and keys: the tool has only the files in `run/`. */
function byNotes({ CH202_DATA_DIR = '', HOME = '', PATH = '' }: Record<string, string>): Record<string, string> {
  return { CH202_DATA_DIR, HOME, PATH, XDG_CONFIG_HOME: folder.path }
}

describe('services that start, stop, are killed and hang', () => {
  test('have the right state in health and ps at each moment, without a key', async () => {
    const dataDir = folder.fresh()
    const env = ownSettings(dataDir)
    const bare = byNotes(env)

    const nothing = await runTool(['ps'], { env: bare })
    expect([nothing.status, nothing.stdout, nothing.stderr]).toEqual([
      0,
      '',
      `No service is running on ${dataDir}\n→ ch202 start\n`,
    ])
    const { OPERATOR_API_KEY: _, INTERNAL_API_KEY: __, ...keyless } = env
    const down = await json(keyless, 'health')
    expect([down.status, down.body.ok, states(down.body.items)]).toEqual([10, false, ofEachService(() => 'failed')])
    expect(down.body.items[0]).toMatchObject({
      address: env.AUTH_URL,
      version: null,
      message: 'nothing is listening there',
    })
    const inVain = await runTool(['health', '--wait', '1s'], { env: keyless })
    expect([inVain.status, inVain.took > 1000, inVain.took < PROMPT]).toEqual([10, true, true])

    // Waits until the services have written their files in `run/`.
    const waiting = runTool(['health', '--wait', '60s'], { env: bare })
    const running = ofEachService((name) => start(env, name))
    const { status, stderr, stdout } = await waiting
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toContain(`${env.USERS_URL}\n`)

    const well = await json(bare, 'health')
    expect([well.status, well.body.ok]).toEqual([0, true])
    for (const item of well.body.items) {
      expect(item).toMatchObject({ status: 'ok', version, uptime_s: expect.any(Number), message: '' })
      expect(item.latency_ms).toBeGreaterThan(0)
      if (SERVICES_WITH_DATABASE.includes(item.service)) expect(item.db_latency_ms).toBeGreaterThan(0)
      else expect(item.db_latency_ms).toBeNull()
    }
    expect(well.body.items[0].cache).toMatchObject({ entries: 0, pending: 0 })
    const swapped = await json({ ...keyless, USERS_URL: env.AUTH_URL ?? '' }, 'health')
    expect(states(swapped.body.items)).toEqual({ ...ofEachService(() => 'ok'), users: 'failed' })
    expect(swapped.body.items[1].message).toBe('the service at this address is auth')

    const some = await json(bare, 'health', '--only', 'modules, auth')
    expect(some.body.items.map(({ service }: { service: string }) => service)).toEqual(['modules', 'auth'])
    expect((await runTool(['health', '--only', 'auth,nope'], { env: bare })).status).toBe(2)

    const up = await json(bare, 'ps')
    expect(up.body.items).toEqual(
      SERVICE_NAMES.map((service) => ({
        service,
        state: 'up',
        pid: running[service].pid,
        address: env[`${service.toUpperCase()}_URL`],
        started_at: expect.stringMatching(/^20/),
        rss_bytes: expect.any(Number),
        rss_mb: expect.any(Number),
        cpu_s: expect.any(Number),
      })),
    )
    expect(up.body.items[0].rss_mb).toBeGreaterThan(20)

    running.modules.signal('SIGTERM')
    running.users.signal('SIGKILL')
    await Promise.all([running.modules.ended, running.users.ended])
    const after = await json(bare, 'ps')
    const { modules: ___, ...others } = ofEachService(() => 'up')
    expect([after.status, states(after.body.items)]).toEqual([0, { ...others, users: 'dead' }])
    expect(after.body.items[1]).toMatchObject({ rss_bytes: null, cpu_s: null })

    // Another process has the id now: one of Ch202 that started at another time, or one of another program.
    const note = join(dataDir, 'run/users.json')
    const { process_start, ...rest } = JSON.parse(readFileSync(note, 'utf8'))
    expect(process_start).toBeGreaterThan(0)
    for (const other of [
      { pid: running.auth.pid, process_start: process_start - 100 },
      { pid: process.pid, process_start },
      { pid: process.pid },
    ]) {
      writeFileSync(note, JSON.stringify({ ...rest, ...other }))
      expect(states((await json(bare, 'ps')).body.items)).toEqual({ ...others, users: 'dead' })
    }

    running.auth.signal('SIGSTOP')
    const result = await runTool(['ps'], { env: bare })
    expect([result.status, result.stdout]).toEqual([0, expect.stringMatching(/^auth +silent .*\nusers +dead /)])
    expect(result.stderr).toContain('Ended unexpectedly: users\n')
    expect(result.stderr).toContain('not responding: auth\n')
    running.auth.signal('SIGKILL')
    await running.auth.ended
  })
})

describe('an address or file that is not from Ch202', () => {
  test.each([
    ['a page', () => new Response('<html>'), 'not a Ch202 service (status 200)'],
    ['an error', () => new Response('{"code":"x"}', { status: 503 }), 'not a Ch202 service (status 503)'],
  ])('is not well: %s', async (_, answer, message) => {
    const port = freePort()
    const server = Bun.serve({ port, hostname: '127.0.0.1', fetch: answer })
    const { body, status } = await json({ CH202_URL: `http://127.0.0.1:${port}` }, 'health')
    server.stop(true)
    expect([status, body.items[0].message]).toEqual([10, message])
  })

  test('is ignored if the file in run/ is invalid', async () => {
    const dataDir = folder.fresh()
    mkdirSync(join(dataDir, 'run'), { recursive: true })
    writeFileSync(join(dataDir, 'run/auth.json'), '{"pid":')
    writeFileSync(join(dataDir, 'run/users.json'), '{"url":"http://127.0.0.1:1","pid":-1}')
    const { body, status } = await json({ CH202_DATA_DIR: dataDir }, 'ps')
    expect([status, body.items]).toEqual([0, []])
  })
})

test.each([
  [['health', '--wait', 'soon'], '--wait takes a duration'],
  [['ps', '--url', 'https://id.example.org'], '--url'],
])('%j is a wrong use', async (words, text) => {
  const { status, stderr, stdout } = await runTool(words, { env: { CH202_DATA_DIR: folder.fresh() } })
  expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(text)])
})
