import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { openInstance } from '../support/shell.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

/** More than any buffer between two processes holds, in every form. */
const MANY = 20_000
const PER_REQUEST = 5000

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('pipes')
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
  for (let from = 0; from < MANY; from += PER_REQUEST) {
    const users = Array.from({ length: PER_REQUEST }, (_, n) => ({ email: `u${from + n}@example.org`, password_hash }))
    const { text } = await call(instance.system.url.users, 'POST /api/v1/users/import', {
      headers: { ...as.operator, 'content-type': 'application/x-ndjson' },
      body: users.map((user) => JSON.stringify(user)).join('\n'),
    })
    expect(text.match(/"created"/g)?.length).toBe(PER_REQUEST)
  }
})
afterAll(() => instance.close())

const run = (line: string, options: { env?: Record<string, string>; stdin?: string } = {}) =>
  instance.shell.run(line, options)
const TRACE = /^\s+at |\.ts:\d/m

/** A service that accepts requests and never responds; `asked` resolves at the first request. */
function silence() {
  const firstRequest = Promise.withResolvers<void>()
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch: () => {
      firstRequest.resolve()
      return new Promise<Response>(() => undefined)
    },
  })
  return {
    env: { USERS_URL: `http://127.0.0.1:${server.port}` },
    asked: firstRequest.promise,
    stop: () => server.stop(true),
  }
}

describe('a reader that closes the pipe is no failure', () => {
  const commands = [
    'ch202 users list --all',
    'ch202 users list --all -o json',
    'ch202 users list --all -o jsonl',
    'ch202 users list --all -o csv',
    'ch202 users list --all -o ids',
    'ch202 users list --limit 10000',
    'ch202 users list --limit 10000 -o json',
    'ch202 --help',
    'ch202 openapi',
  ]
  test.each(sliced(commands, 2))('%s', async (line) => {
    const { status, stdout, stderr, took } = await run(`(${line}; echo "status $?" >&2) | head -c 20`)
    expect([status, stdout.length]).toEqual([0, 20])
    expect(stderr).toBe('status 0\n')
    expect(took).toBeLessThan(PROMPT)
  })

  test('even before the first line, and the command completes', async () => {
    const email = newEmail()
    const result = await run(`(ch202 users create ${email} --generate; echo "status $?" >&2) | true`)
    expect([result.status, result.stderr]).toEqual([0, 'status 0\n'])
    expect((await run(`ch202 users get ${email} -o ids`)).status).toBe(0)
  })

  test('and a command for many users completes for all of them', async () => {
    await run('ch202 users list --limit 60 -q -o ids > some')
    // Without progress, which a run of many seconds shows.
    const { stderr } = await run(
      '(ch202 users disable - -q -o jsonl < some; echo "status $?" >&2) | head -1 > /dev/null',
    )
    expect(stderr).toBe('status 0\n')
    const { stdout } = await run('ch202 users get - --fields status < some | sort | uniq -c')
    expect(stdout.trim()).toBe('60 disabled')
  })
})

test('a big list is complete in a pipe, in every form', async () => {
  const count = async (form: string, counting: string) => {
    const { status, stdout, stderr } = await run(`ch202 users list --all -o ${form} | cat | ${counting}`)
    expect([form, status, stderr]).toEqual([form, 0, ''])
    return Number(stdout)
  }
  const total = JSON.parse((await run('ch202 users list --limit 1 -q -o json')).stdout).total
  expect(total).toBeGreaterThanOrEqual(MANY)
  const bun = (script: string) => `"${process.execPath}" -e '${script}'`
  const figures = await Promise.all([
    count('table', 'sort -u | wc -l'),
    count('ids', 'sort -u | wc -l'),
    count('csv', 'tail -n +2 | sort -u | wc -l'),
    count('jsonl', bun('console.log(Bun.JSONL.parse(await Bun.stdin.text()).length)')),
    count('json', bun('console.log(new Set((await Bun.stdin.json()).items.map(({ id }) => id)).size)')),
  ])
  expect(figures).toEqual([total, total, total, total, total])
  // A slow reader also gets all of it.
  const slow = await run('ch202 users list --limit 5000 -q -o json | (sleep 0.3; cat) | wc -c')
  const quick = await run('ch202 users list --limit 5000 -q -o json > quick; wc -c < quick')
  expect(slow.stdout.trim()).toBe(quick.stdout.trim())
  expect(Number(quick.stdout)).toBeGreaterThan(500_000)
})

describe('closed descriptors and full devices', () => {
  test('a closed standard input counts as empty', async () => {
    const table: [string, number, RegExp][] = [
      ['ch202 version <&-', 0, /^$/],
      ['ch202 users get u1@example.org <&-', 0, /^$/],
      [`ch202 users create ${newEmail()} <&-`, 2, /--password-stdin/],
      [`ch202 users create ${newEmail()} --password-stdin <&-`, 2, /has no password/],
      ['ch202 users get - <&-', 2, /is empty: give/],
      ['ch202 users delete u1@example.org <&-', 2, /--yes/],
    ]
    for (const [line, status, message] of table) {
      const ended = await run(line)
      expect([line, ended.status]).toEqual([line, status])
      expect(ended.stderr).toMatch(message)
      expect(ended.stderr).not.toMatch(TRACE)
    }
  })

  test('a closed standard output or error causes no stack trace, and no false success', async () => {
    const email = newEmail()
    for (const line of ['users list', `users create ${email} --generate`, 'users list -o json', 'version', '--help']) {
      const { stderr } = await run(`ch202 ${line} >&-`)
      expect([line, stderr]).toEqual([line, expect.not.stringMatching(TRACE)])
    }
    expect((await run('ch202 users get u1@example.org -o ids 2>&-')).status).toBe(0)
    const failed = await run('ch202 users get nobody 2>&-')
    expect([failed.status, failed.stdout]).toEqual([3, ''])
    expect((await run('ch202 users list >&- 2>&-; echo')).stdout).toBe('\n')
  })

  const full = ['users list', 'users list --all -o json', 'users get u1@example.org', 'version', 'openapi', '--help']
  test.each(sliced(full, 2))('a full device is a failure: %s', async (line) => {
    const { status, stderr } = await run(`ch202 ${line} > /dev/full`)
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^✗ .*no space left.*\n$/m)])
    expect(stderr).not.toMatch(TRACE)
    expect(stderr.match(/✗/g)).toHaveLength(1)
  })

  test('a full device for errors causes no stack trace', async () => {
    const { status, stdout } = await run('ch202 users get nobody 2> /dev/full')
    expect([status, stdout]).toEqual([3, ''])
  })
})

describe('signals', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends a request that takes long', async (signal, status) => {
    const slow = silence()
    const running = instance.shell.start(`trap : INT TERM HUP\nch202 users list; echo "status $?"`, {
      env: slow.env,
      group: true,
    })
    await slow.asked
    const began = performance.now()
    running.signal(signal)
    const { stdout, stderr } = await running.ended
    slow.stop()
    expect(stdout).toBe(`status ${status}\n`)
    // The shell's own words.
    expect(stderr).toMatch(/^(Terminated\n|Hangup\n)?$/)
    expect(performance.now() - began).toBeLessThan(PROMPT)
  })

  test('a Ctrl-C in a terminal ends the command', async () => {
    const slow = silence()
    const terminal = instance.shell.inTerminal('ch202 users list', { env: slow.env })
    await slow.asked
    terminal.type('\x03')
    const { status, screen } = await terminal.ended
    slow.stop()
    expect([status, screen]).toEqual([130, '^C'])
  })

  test('a second Ctrl-C ends a waiting command for many users, the repeated signal of the first does not', async () => {
    const slow = silence()
    const running = instance.shell.start('trap : INT\nprintf "a\\nb\\n" | ch202 users get -', {
      env: slow.env,
      group: true,
    })
    await slow.asked
    running.signal('SIGINT')
    // `bun run` passes on the signal that the terminal has sent to both. The tool ignores it for half a second.
    await Bun.sleep(20)
    running.signal('SIGINT')
    expect(await Promise.race([running.ended, Bun.sleep(1000)])).toBeUndefined()
    running.signal('SIGINT')
    const { status, took } = await running.ended
    slow.stop()
    expect(status).toBe(130)
    expect(took).toBeLessThan(PROMPT)
  })

  test('a terminal that is closed leaves no process behind', async () => {
    const slow = silence()
    const pid = join(instance.shell.path, 'pid')
    const terminal = instance.shell.inTerminal(`echo $$ > pid; exec ch202 users list`, { env: slow.env })
    await slow.asked
    const number = Number(await Bun.file(pid).text())
    expect(existsSync(`/proc/${number}`)).toBe(true)
    terminal.hangUp()
    await eventually(() => !existsSync(`/proc/${number}`) || undefined)
    expect((await terminal.ended).status).toBe(129)
    slow.stop()
  })
})

test('commands create no data directory in the current directory', () => {
  expect(statSync(instance.shell.path).isDirectory()).toBe(true)
  expect(existsSync(join(instance.shell.path, 'data'))).toBe(false)
})
