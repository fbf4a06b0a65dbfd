import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../package.json'
import { as, call, eventually, logIn, newEmail, PASSWORD, type System, startSystem } from './harness.ts'
import { ch202, launch, ownSettings, ROOT, temporary } from './processes.ts'

// Processes start slowly on a busy machine; what has to be quick is measured.
setDefaultTimeout(20_000)

const folder = temporary('cli')
let system: System
let env: Record<string, string>
beforeAll(async () => {
  system = await startSystem('one process', { RATE_LIMIT: 'off' })
  env = {
    AUTH_URL: system.url.auth,
    USERS_URL: system.url.users,
    MODULES_URL: system.url.modules,
    OPERATOR_API_KEY: as.operator['x-api-key'],
    CH202_DATA_DIR: system.dataDir,
  }
  const shim = join(folder.path, 'ch202')
  writeFileSync(shim, `#!/bin/sh\nexec "${process.execPath}" "${ROOT}/cli/main.ts" "$@"\n`)
  chmodSync(shim, 0o755)
})
afterAll(async () => {
  await system.stop()
  folder.remove()
})

/** A line as a shell takes it, with `ch202` on its path. */
const shell = (line: string, more: Record<string, string> = {}) =>
  launch(['sh', '-c', line], { env: { ...env, ...more, PATH: `${folder.path}:${process.env.PATH}` }, cwd: folder.path })

const create = (words: string[], options: Parameters<typeof ch202>[1] = {}) =>
  ch202(['users', 'create', ...words], { ...options, env: { ...env, ...options.env } })

describe('version', () => {
  test('is printed, plain or as JSON', async () => {
    const table = [
      [['version'], `${version}\n`],
      [['version', '-o', 'json'], `{"version":"${version}"}\n`],
      [['-o', 'json', 'version'], `{"version":"${version}"}\n`],
      [['version', '--output=json'], `{"version":"${version}"}\n`],
    ] as const
    for (const [words, said] of table) {
      const { status, stdout, stderr } = await ch202([...words])
      expect([words, status, stdout, stderr]).toEqual([words, 0, said, ''])
    }
  })

  test('takes hardly longer than Bun itself', async () => {
    const best = async (command: string[]) => {
      const times: number[] = []
      for (let n = 0; n < 6; n++) times.push((await launch(command).ended).took)
      return Math.min(...times)
    }
    const bun = await best([process.execPath, '-e', '0'])
    const tool = await best([process.execPath, 'cli/main.ts', 'version'])
    // 120 ms in all where Bun starts in 20 or less.
    expect(tool - bun).toBeLessThan(100)
  })
})

describe('help', () => {
  test.each([[[]], [['--help']], [['-h']], [['help']]])('%j names every command', async (words) => {
    const { status, stdout, stderr } = await ch202(words)
    expect(status).toBe(0)
    const said = stdout + stderr
    for (const command of ['start', 'serve', 'migrate', 'version', 'users'])
      expect(said).toMatch(new RegExp(`^  ${command}\\b`, 'm'))
    expect(said).toContain('-o, --output <form>')
  })

  test('that was asked for goes to standard output', async () => {
    for (const words of [['--help'], ['users', '--help'], ['users', 'create', '--help'], ['help', 'users']])
      expect(await ch202(words)).toMatchObject({
        status: 0,
        stderr: '',
        stdout: expect.stringMatching(/^Usage: ch202/),
      })
  })

  /** Every command that has none below it, by the help alone. */
  const leaves = async (words: string[] = []): Promise<{ words: string[]; help: string }[]> => {
    const { stdout: help } = await ch202([...words, '--help'])
    const commands = help.split(/^Commands:\n/m)[1]
    if (!commands) return [{ words, help }]
    const names = [...commands.matchAll(/^ {2}([a-z][a-z-]*)/gm)]
      .map(([, name]) => name ?? '')
      .filter((name) => name !== 'help')
    return (await Promise.all(names.map((name) => leaves([...words, name])))).flat()
  }

  test('of every command has two examples, and they work as printed', async () => {
    const all = await leaves()
    expect(all.length).toBeGreaterThan(4)
    for (const { words, help } of all) {
      const examples = [...help.matchAll(/^ {2}\$ (.*ch202 .*)$/gm)].map(([, line]) => line ?? '')
      expect([words, examples.length >= 2]).toEqual([words, true])
      for (const example of examples) {
        const stays = ['start', 'serve'].includes(words[0] ?? '')
        const running = shell(stays ? `exec ${example}` : example, stays ? ownSettings(folder.fresh()) : {})
        if (stays) {
          await running.printed(/ready at/)
          running.signal('SIGTERM')
        }
        const { status, stderr } = await running.ended
        expect([example, status, stderr]).toEqual([example, 0, ''])
      }
    }
  })
})

describe('a wrong use', () => {
  test.each([
    [['nope']],
    [['users', 'nope']],
    [['users', 'create']],
    [['users', 'create', 'a@example.org', 'b@example.org']],
    [['users', 'create', 'a@example.org', '--nope']],
    [['users', 'create', 'a@example.org', '--password', PASSWORD]],
    [['users', 'create', 'a@example.org', '--generate', '--password-stdin']],
    [['users', 'create', 'a@example.org', '--role']],
    [['-o', 'xml', 'version']],
    [['--output']],
    [['version', 'extra']],
    [['serve', 'mail']],
    [['start', '--only', 'mail']],
  ])('%j exits 2, and says why on standard error', async (words) => {
    const { status, stdout, stderr } = await ch202(words, { env: { ...env, CH202_DATA_DIR: folder.fresh() } })
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).not.toBe('')
    expect(stderr).not.toMatch(/^\s+at |\.ts:\d/m)
  })

  test('without a terminal and without a password names the flags', async () => {
    const email = newEmail()
    for (const stdin of [undefined, '', `${PASSWORD}\n`]) {
      const { status, stdout, stderr, took } = await create([email], stdin === undefined ? {} : { stdin })
      expect([status, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(/--password-stdin.*--generate/)
      expect(took).toBeLessThan(3000)
    }
    const empty = await create([email, '--password-stdin'], { stdin: '\n' })
    expect([empty.status, empty.stderr]).toEqual([2, expect.stringContaining('holds no password')])
    for (const form of [['-o', 'json'], ['-ojson'], ['--output', 'json'], ['--output=json']]) {
      const json = await create([email, ...form])
      expect([json.status, json.stderr]).toEqual([2, ''])
      expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, error: { code: 'usage', retryable: false } })
    }
    expect((await call(system.url.users, `GET /users/by-email/${email}`, { headers: as.operator })).status).toBe(404)
  })
})

describe('users create', () => {
  test('with a password of standard input', async () => {
    const email = newEmail()
    const { status, stdout, stderr } = await create(
      [
        email,
        '--password-stdin',
        '--username',
        'Kim',
        '--name',
        'Kim Ö.',
        '--role',
        'USER',
        '--role',
        'EDITOR',
        '--verified',
        '-o',
        'json',
      ],
      { stdin: `${PASSWORD}\nand a second line\n` },
    )
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({
      email,
      username: 'kim',
      name: 'Kim Ö.',
      roles: ['USER', 'EDITOR'],
      status: 'active',
      email_verified: true,
      changed: true,
    })
    expect(stdout).not.toContain(PASSWORD)
    expect((await logIn(system, email)).status).toBe(200)
  })

  test('with a password that it makes, and prints once', async () => {
    const made = await Promise.all(
      [0, 1].map(async () => JSON.parse((await create([newEmail(), '--generate', '-o', 'json'])).stdout)),
    )
    for (const { email, password } of made) {
      expect(password).toMatch(/^[\w-]{24}$/)
      expect((await logIn(system, email, password)).status).toBe(200)
    }
    expect(made[0].password).not.toBe(made[1].password)
    expect(system.output()).not.toContain(made[0].password)
  })

  test('in every form', async () => {
    const forms = await Promise.all(
      ['table', 'json', 'jsonl', 'csv', 'ids'].map(async (form) => {
        const { stdout, stderr } = await create([newEmail(), '--generate', '--name', 'A, "B"', '-o', form])
        return stdout + stderr
      }),
    )
    const [table, json, jsonl, csv, ids] = forms
    expect(table?.split('\n').filter((line) => line.startsWith('name\t'))).toEqual(['name\tA, "B"'])
    for (const one of [json, jsonl]) {
      expect(one?.trim().split('\n')).toHaveLength(1)
      expect(JSON.parse(one ?? '')).toMatchObject({ name: 'A, "B"', changed: true })
    }
    const [names, values, ...rest] = csv?.trim().split('\n') ?? []
    expect(names).toBe('id,email,username,name,roles,status,email_verified,created_at,updated_at,password,changed')
    expect(values).toContain(',"A, ""B""",USER,active,false,')
    expect(rest).toEqual([])
    expect(ids).toMatch(/^[0-9a-f-]{36}\n$/)
  })

  test('of one that exists is a conflict, unless that is no error', async () => {
    const email = newEmail()
    const first = await create([email, '--generate', '-o', 'ids'])
    const again = await create([email.toUpperCase(), '--generate'])
    expect([again.status, again.stdout]).toEqual([6, ''])
    expect(again.stderr).toMatch(/^✗ .*\(email_taken, request [\w-]+\)\n→ ch202 users create \S+ --if-not-exists/)
    const json = await create([email, '--generate', '-o', 'json'])
    expect([json.status, json.stderr]).toEqual([6, ''])
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      error: {
        code: 'email_taken',
        retryable: false,
        suggestion: `ch202 users create ${email} --if-not-exists`,
        request_id: expect.any(String),
      },
    })
    const lenient = await create([email, '--generate', '--if-not-exists', '-o', 'json'])
    expect(lenient.status).toBe(0)
    const existing = JSON.parse(lenient.stdout)
    expect(existing).toMatchObject({ id: first.stdout.trim(), email, changed: false })
    // The password that was made is not the user's.
    expect(existing).not.toHaveProperty('password')
    await create([newEmail(), '--generate', '--username', 'taken'])
    const username = await create([newEmail(), '--generate', '--if-not-exists', '--username', 'taken'])
    expect([username.status, username.stderr]).toEqual([6, expect.stringContaining('username_taken')])
  })

  test('that the API refuses says what, and the exit status why', async () => {
    const wrong: [string[], Record<string, string>, string, number, string][] = [
      [['no-email', '--generate'], {}, '', 1, 'email must be an email'],
      [[newEmail(), '--password-stdin'], {}, 'password', 1, 'weak_password'],
      [[newEmail(), '--password-stdin'], {}, 'x', 1, 'password'],
      [[newEmail(), '--generate', '--role', 'admin'], {}, '', 1, 'roles'],
      [[newEmail(), '--generate'], { OPERATOR_API_KEY: 'wrong-key-canary' }, '', 4, 'invalid_api_key'],
      [
        [newEmail(), '--generate'],
        { OPERATOR_API_KEY: '', CH202_DATA_DIR: join(folder.path, 'nowhere') },
        '',
        4,
        'not_logged_in',
      ],
      [
        [newEmail(), '--generate'],
        { USERS_URL: 'http://127.0.0.1:1' },
        '',
        7,
        'The users service does not answer at http://127.0.0.1:1',
      ],
    ]
    for (const [words, more, stdin, status, text] of wrong) {
      const ended = await create(words, { env: more, stdin })
      expect([words, ended.status, ended.stdout]).toEqual([words, status, ''])
      expect(ended.stderr).toContain(text)
      expect(ended.stderr).not.toContain('canary')
      expect(ended.stderr).not.toMatch(/^\s+at |\.ts:\d|undefined/m)
      const json = await create([...words, '-o', 'json'], { env: more, stdin })
      expect([json.status, json.stderr]).toEqual([status, ''])
      expect(JSON.parse(json.stdout)).toMatchObject({
        ok: false,
        error: { code: expect.any(String), message: expect.any(String), retryable: status === 7 },
      })
    }
    expect(existsSync(join(folder.path, 'nowhere'))).toBe(false)
  })

  test('talks to no stranger: a page, broken JSON and an error of a proxy are failures', async () => {
    const answers = [
      ['<html>hello', 'text/html', 200],
      ['{broken', 'application/json', 200],
      ['<html>bad gateway', 'text/html', 502],
    ] as const
    for (const [body, type, answered] of answers) {
      const stranger = Bun.serve({
        port: 0,
        hostname: '127.0.0.1',
        fetch: () => new Response(body, { status: answered, headers: { 'content-type': type } }),
      })
      const { status, stdout, stderr } = await create([newEmail(), '--generate'], {
        env: { USERS_URL: `http://127.0.0.1:${stranger.port}` },
      })
      await stranger.stop(true)
      expect([status, stdout]).toEqual([7, ''])
      expect(stderr).toContain('is not the users service')
      expect(stderr).not.toContain('html')
    }
  })

  test('finds the running instance and its key by the data directory alone', async () => {
    const dataDir = folder.fresh()
    const { INTERNAL_API_KEY: _, OPERATOR_API_KEY: __, CH202_SECRET: ___, ...own } = ownSettings(dataDir)
    const running = launch([process.execPath, 'cli/main.ts', 'serve'], { env: own })
    await running.printed(/ready at/)
    const { status, stdout } = await ch202(['users', 'create', newEmail(), '--generate', '-o', 'ids'], {
      env: { CH202_DATA_DIR: dataDir },
    })
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^[0-9a-f-]{36}\n$/)])
    running.signal('SIGTERM')
    await running.ended
  })

  test('into a pipe that no one reads is no failure', async () => {
    const { status, stderr } = await shell(`(ch202 users create ${newEmail()} --generate; echo "status $?" >&2) | true`)
      .ended
    expect([status, stderr]).toEqual([0, 'status 0\n'])
    const help = await shell('(ch202 --help; echo "status $?" >&2) | head -1').ended
    expect([help.stdout.split(' ')[0], help.stderr]).toEqual(['Usage:', 'status 0\n'])
  })

  const hasTerminal = Bun.which('script') !== null

  /** The tool in a terminal of its own: types each text once the screen shows what it waits for. */
  const inTerminal = async (words: string[], typed: [shown: RegExp, text: string][]) => {
    const line = ['ch202', ...words].join(' ')
    const child = Bun.spawn(['script', '-qec', `stty cols 100 rows 30; ${line}`, '/dev/null'], {
      env: {
        ...env,
        PATH: `${folder.path}:${process.env.PATH}`,
        HOME: process.env.HOME ?? '',
        TERM: 'xterm',
        SHELL: '/bin/sh',
      },
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    let screen = ''
    const reading = (async () => {
      const decoder = new TextDecoder()
      for await (const chunk of child.stdout) screen += decoder.decode(chunk, { stream: true })
    })()
    for (const [shown, text] of typed) {
      await eventually(() => shown.test(screen) || undefined, 5000)
      child.stdin.write(text)
      await child.stdin.flush()
    }
    const status = await child.exited
    await reading
    return { status, screen }
  }

  test.skipIf(!hasTerminal)('in a terminal asks for the password, and does not show it', async () => {
    const email = newEmail()
    const { status, screen } = await inTerminal(['users', 'create', email], [[/Password/, `${PASSWORD}\r`]])
    expect(status).toBe(0)
    expect(screen).not.toContain(PASSWORD)
    expect(screen).toContain(email)
    expect((await logIn(system, email)).status).toBe(200)
  })

  test.skipIf(!hasTerminal)('in a terminal ends with 130 at a Ctrl-C', async () => {
    const email = newEmail()
    const { status } = await inTerminal(['users', 'create', email], [[/Password/, 'half\x03']])
    expect(status).toBe(130)
    expect((await call(system.url.users, `GET /users/by-email/${email}`, { headers: as.operator })).status).toBe(404)
  })

  test.skipIf(!hasTerminal)('in a terminal shows what it made without what could steer the terminal', async () => {
    const email = newEmail()
    const { status, screen } = await inTerminal(['users', 'create', email, '--generate'], [])
    expect(status).toBe(0)
    expect(screen.replaceAll('\r', '')).toMatch(new RegExp(`^email {10,}${email.replace('.', '\\.')}$`, 'm'))
  })
})

describe('migrate', () => {
  test('--plan says what would be done and does nothing; migrate does it; then there is nothing to do', async () => {
    const dataDir = folder.fresh()
    const own = ownSettings(dataDir)
    const plan = await ch202(['migrate', '--plan'], { env: own })
    expect(plan.stdout.trim().split('\n')).toEqual(
      ['auth', 'users', 'modules'].map((name) => expect.stringMatching(new RegExp(`^${name}\tto apply: \\S+`))),
    )
    expect([plan.status, existsSync(dataDir)]).toEqual([0, false])
    const done = await ch202(['migrate'], { env: own })
    expect([done.status, done.stdout]).toEqual([0, plan.stdout.replaceAll('to apply', 'applied')])
    const upToDate = 'auth\tup to date\nusers\tup to date\nmodules\tup to date\n'
    for (const words of [['migrate', '--plan'], ['migrate']])
      expect(await ch202(words, { env: own })).toMatchObject({ status: 0, stdout: upToDate, stderr: '' })
    const bytes = readFileSync(join(dataDir, 'auth.sqlite'))
    writeFileSync(join(dataDir, 'auth.sqlite'), bytes.subarray(0, 5000))
    for (const words of [['migrate', '--plan'], ['migrate']]) {
      const { status, stderr } = await ch202(words, { env: own })
      expect([status, stderr]).toEqual([1, expect.stringContaining(join(dataDir, 'auth.sqlite'))])
    }
  })
})
