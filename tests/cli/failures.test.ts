import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createUser, newEmail, PASSWORD, type TestUser } from '../support/actors.ts'
import { OPERATOR_KEY } from '../support/settings.ts'
import { openInstance } from '../support/shell.ts'
import { sliced } from '../support/whole.ts'

setDefaultTimeout(120_000)

let instance: Awaited<ReturnType<typeof openInstance>>
let user: TestUser
beforeAll(async () => {
  instance = await openInstance('failures')
  user = await createUser(instance.system)
})
afterAll(() => instance.close())

const run = (line: string, options: { env?: Record<string, string>; stdin?: string } = {}) =>
  instance.shell.run(line, options)

const TRACE = /^\s+at |\.ts:\d|undefined|\[object|canary/m

describe('a usage error', () => {
  const errors = [
    'nope',
    'users nope',
    'users create',
    'users create a@example.org b@example.org',
    'users create a@example.org --nope',
    `users create a@example.org --password '${PASSWORD}'`,
    'users create a@example.org --generate --password-stdin',
    'users create a@example.org --role',
    'users create a@example.org',
    'users update ana',
    'users list --limit many',
    'users list --url nonsense',
    'users list --url ftp://127.0.0.1',
    'users list --url http://canary:canary@127.0.0.1',
    '-o xml version',
    '--output',
    'version extra',
    'serve mail',
    'start --only mail',
  ]
  test.each(sliced(errors, 3))('%s: exits 2, and says why on standard error', async (words) => {
    const env = { CH202_DATA_DIR: instance.shell.fresh() }
    const { status, stdout, stderr } = await run(`ch202 ${words}`, { env })
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^✗ [^a-z\n][^\n]* \(usage\)\n/)
    expect(stderr).not.toMatch(TRACE)
    if (!words.startsWith('start')) expect(existsSync(env.CH202_DATA_DIR)).toBe(false)
  })

  const asJson = [
    'users nope -o json',
    '-o json users create',
    'users create a@example.org -ojson',
    'users create a@example.org --output json',
    'users create a@example.org --output=json',
    'users create a@example.org -o jsonl',
    'users list --limit 0 -o json',
    'version extra -o json',
    'nope -o json',
  ]
  test.each(sliced(asJson, 3))('%s: is JSON on standard output', async (words) => {
    const { status, stdout } = await run(`ch202 ${words}`)
    expect(status).toBe(2)
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      error: { code: 'usage', message: expect.stringMatching(/^[^\n]+$/), retryable: false },
    })
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  })

  test('suggests the command for a misspelt one', async () => {
    expect((await run('ch202 user list')).stderr).toContain('users')
    expect((await run('ch202 users lst')).stderr).toContain('list')
    expect((await run('ch202 users list --serch x')).stderr).toContain('--search')
  })
})

/** A server in place of a service that gives one response. */
function standIn(body: string, status = 200, type = 'application/json', headers: Record<string, string> = {}) {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () => new Response(body, { status, headers: { 'content-type': type, ...headers } }),
  })
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) }
}

interface Row {
  line: string
  env?: Record<string, string>
  stdin?: string
  /** The response in place of that of the users service. */
  answers?: Parameters<typeof standIn>
  status: number
  code: string
  /** A part of the message. */
  says?: string
  fix?: string
}

const problem = (statusCode: number, code: string) =>
  JSON.stringify({ statusCode, error: 'Error', message: 'It is so', code, requestId: 'request-of-the-tests' })

const NOWHERE = 'http://127.0.0.1:1'
const token = () => user.tokens.access_token

const TABLE: (() => Row)[] = [
  () => ({ line: 'users create no-email --generate', status: 1, code: 'validation_failed', says: 'email' }),
  () => ({
    line: `users create ${newEmail()} --password-stdin`,
    stdin: 'password',
    status: 1,
    code: 'weak_password',
  }),
  () => ({
    line: `users create ${newEmail()} --generate --role admin`,
    status: 1,
    code: 'validation_failed',
    says: 'roles',
  }),
  () => ({
    line: 'users get nobody@example.org',
    status: 3,
    code: 'user_not_found',
    says: 'There is no user nobody@example.org',
    fix: 'ch202 users list --search nobody',
  }),
  () => ({ line: 'users list', env: { OPERATOR_API_KEY: 'wrong-key-canary' }, status: 4, code: 'invalid_api_key' }),
  () => ({
    line: 'users list',
    env: { OPERATOR_API_KEY: '', CH202_DATA_DIR: join(instance.shell.path, 'nowhere') },
    status: 4,
    code: 'not_logged_in',
  }),
  () => ({ line: 'users list', env: { CH202_TOKEN: 'canary' }, status: 4, code: 'invalid_token' }),
  () => ({
    line: 'users list',
    env: { OPERATOR_API_KEY: '', CH202_TOKEN: token() },
    status: 5,
    code: 'forbidden',
    fix: 'ch202 status',
  }),
  () => ({
    line: 'users get someone',
    env: { OPERATOR_API_KEY: '', CH202_TOKEN: token() },
    status: 5,
    code: 'forbidden',
  }),
  () => ({
    line: `users create ${user.email} --generate`,
    status: 6,
    code: 'email_taken',
    says: user.email,
    fix: `ch202 users get ${user.email}`,
  }),
  () => ({
    line: 'users list',
    env: { USERS_URL: NOWHERE },
    status: 7,
    code: 'unreachable',
    says: `The users service does not answer at ${NOWHERE}`,
    fix: 'ch202 start',
  }),
  () => ({ line: 'users list', answers: ['<html>canary', 200, 'text/html'], status: 7, code: 'unreachable' }),
  () => ({ line: 'users list', answers: ['{canary', 200], status: 7, code: 'unreachable' }),
  () => ({ line: 'users list', answers: ['<html>canary', 404, 'text/html'], status: 7, code: 'unreachable' }),
  () => ({ line: 'users list', answers: ['<html>canary', 500, 'text/html'], status: 7, code: 'unreachable' }),
  () => ({
    line: 'users list',
    answers: ['', 302, 'text/html', { location: 'http://127.0.0.1:1/canary' }],
    status: 7,
    code: 'unreachable',
    says: 'is not the users service',
  }),
  ...['null', '[1,2]', '{}', '{"items":"x","total":{},"next_cursor":5}'].map((body) => () => ({
    line: 'users list',
    answers: [body] as [string],
    status: 7,
    code: 'unreachable',
  })),
  () => ({ line: 'users get someone', answers: ['null'], status: 7, code: 'unreachable' }),
  () => ({ line: 'users list', answers: ['{"code":{"a":1},"message":[[]]}', 400], status: 7, code: 'unreachable' }),
  () => ({ line: 'users list', answers: [problem(500, 'internal_error'), 500], status: 7, code: 'internal_error' }),
  () => ({ line: 'users list', answers: [problem(413, 'too_large'), 413], status: 1, code: 'too_large' }),
  () => ({ line: 'users list', answers: [problem(409, 'anything'), 409], status: 6, code: 'anything' }),
]

async function shows(row: Row) {
  const { answers, code, line, fix, says = '', status, stdin } = row
  const server = answers && standIn(...answers)
  const env = { ...row.env, ...(server ? { USERS_URL: server.url } : {}) }
  const options = { env, ...(stdin === undefined ? {} : { stdin }) }
  const [words, json] = [await run(`ch202 ${line}`, options), await run(`ch202 ${line} -o json`, options)]
  server?.stop()

  expect([line, words.status, words.stdout]).toEqual([line, status, ''])
  const [what, ...how] = words.stderr.trimEnd().split('\n')
  expect([line, what]).toEqual([line, expect.stringMatching(/^✗ .+ \(\w+(, request [\w-]+)?\)$/)])
  expect([line, what]).toEqual([line, expect.stringContaining(`(${code}`)])
  expect([line, what]).toEqual([line, expect.stringContaining(says)])
  expect([line, how]).toEqual([line, fix === undefined ? expect.any(Array) : [`→ ${fix}`]])

  expect([line, json.status, json.stderr]).toEqual([line, status, ''])
  const { error, ok } = JSON.parse(json.stdout)
  expect([line, ok, error]).toMatchObject([line, false, { code, message: expect.stringContaining(says) }])
  expect([line, error.suggestion]).toEqual([line, how[0]?.replace('→ ', '')])
  if (code !== 'unreachable') expect([line, error.retryable]).toEqual([line, status === 7])
  const allowedFields = ['code', 'message', 'errors', 'suggestion', 'request_id', 'retryable']
  expect([line, Object.keys(error).filter((name) => !allowedFields.includes(name))]).toEqual([line, []])

  for (const output of [words.stderr, json.stdout]) {
    expect([line, output]).toEqual([line, expect.not.stringMatching(TRACE)])
    for (const secret of [OPERATOR_KEY, token()]) expect(output).not.toContain(secret)
  }
}

describe('a failure', () => {
  test('has an exit status, a sentence, a code and a suggestion, as text and as JSON', async () => {
    await Promise.all(
      sliced(
        TABLE.map((row) => row()),
        8,
        ({ code }) => code,
      ).map(shows),
    )
    expect(existsSync(join(instance.shell.path, 'nowhere'))).toBe(false)
  })

  const create = `printf short | ch202 users create no-email --role USER --role admin --password-stdin`

  test('R9: lists the errors of a request, a line each', async () => {
    const { status, stderr, stdout } = await run(create)
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^✗ The request is not valid \(validation_failed, request [\w-]+\)$/),
      '    email     must be an email',
      '    roles.1   must be capital letters, digits and underscores, beginning with a letter',
      '    password  must be longer than or equal to 8 characters',
      '',
    ])
  })

  test('R9: has the errors in JSON', async () => {
    const { error, ok } = JSON.parse((await run(`${create} -o json`)).stdout)
    expect([ok, error.code]).toEqual([false, 'validation_failed'])
    expect(error.message).toStartWith('email must be an email; roles.1 must be ')
    expect(error.errors).toEqual([
      { field: 'email', code: 'format', message: 'must be an email' },
      { field: 'roles.1', code: 'pattern', message: expect.stringMatching(/^must be capital letters/) },
      { field: 'password', code: 'too_short', message: expect.stringMatching(/^must be longer/), limit: 8 },
    ])
  })

  test('R9: wraps the errors at the width of the terminal', async () => {
    const { screen, status } = await instance.shell.inTerminal(create, { cols: 60 }).ended
    expect(status).toBe(1)
    const lines = screen.split('\n').map((line) => line.trimEnd())
    const from = lines.indexOf('    email     must be an email')
    expect(lines.slice(from + 1, from + 4)).toEqual([
      '    roles.1   must be capital letters, digits and',
      '              underscores, beginning with a letter',
      '    password  must be longer than or equal to 8 characters',
    ])
  })

  test('R9: names an email and a username that are taken', async () => {
    const username = `taken-${Math.random().toString(36).slice(2, 8)}`
    const email = newEmail()
    const line = `ch202 users create ${email} --username ${username} --generate`
    expect((await run(line)).status).toBe(0)
    const { status, stderr } = await run(line)
    expect(status).toBe(6)
    expect(stderr).toContain('\n    email     is taken\n    username  is taken\n')
  })

  test('R9: shows only the text of a response that is not from Ch202', async () => {
    const body = { ...JSON.parse(problem(400, 'validation_failed')), errors: [7, { field: 'x' }, null] }
    const server = standIn(JSON.stringify(body), 400)
    const { stdout } = await run('ch202 users list -o json', { env: { USERS_URL: server.url } })
    server.stop()
    expect(JSON.parse(stdout).error).toEqual({
      code: 'validation_failed',
      message: 'It is so',
      request_id: 'request-of-the-tests',
      retryable: false,
    })
  })

  test('suggests a command that works for a user whose name begins with a dash', async () => {
    for (const line of ['ch202 users get -- -rf', 'echo -rf | ch202 users get -']) {
      const { status, stderr } = await instance.shell.run(line)
      const hint = stderr.match(/^→ (.*)$/m)?.[1] ?? ''
      expect([status, hint]).toEqual([3, 'ch202 users list --search=-rf'])
      expect(await instance.shell.run(hint)).toMatchObject({ status: 0, stdout: '', stderr: '' })
    }
  })

  test('of the file system is a sentence with the path', async () => {
    // An installation of its own: that of the tests may have its data in PostgreSQL.
    const env = { CH202_ENV: 'development', CH202_DATA_DIR: instance.shell.fresh(), DATABASE_URL: '' }
    for (const words of ['migrate', 'backup create'])
      expect(await run(`ch202 ${words}`, { env })).toMatchObject({ status: 0 })
    const file = join(instance.shell.path, 'a-file')
    writeFileSync(file, '')
    const to = (place: string) => [
      `backup create --out ${place}`,
      `restore latest --to ${place}`,
      `CH202_DATA_DIR=${place} ch202 serve`,
      `package caddy --out ${place}/x`,
    ]
    // Every third: each command and each place is among them.
    const lines = sliced([...to('/proc/none'), ...to('/sys/none'), ...to(file), ...to(`${file}/below`)], 3)
    const results = await Promise.all(
      lines.map((line) => instance.shell.run(line.includes(' ch202 ') ? line : `ch202 ${line}`, { env })),
    )
    for (const [at, { status, stderr, stdout }] of results.entries()) {
      const line = lines[at]
      expect([line, status, stdout, stderr]).toEqual([
        line,
        1,
        '',
        expect.stringMatching(
          /^✗ \/\S+ (can't|cannot) be (created|read|opened|written): (no such|permission|a part|a file|it is)[^:()]+ \(failed\)\n$/,
        ),
      ])
      // The name of the directory is random.
      expect(stderr.replaceAll(instance.shell.path, '')).not.toMatch(/E[A-Z]{4,}/)
    }
  })

  test('of the API has the id of the request, which is in the log', async () => {
    const { stdout } = await run('ch202 users get nobody -o json')
    const { request_id } = JSON.parse(stdout).error
    expect(JSON.parse((await run('ch202 users get nobody -o jsonl')).stdout).error.code).toBe('user_not_found')
    expect(request_id).toMatch(/^[\w-]{20,}$/)
    expect(instance.system.output()).toContain(request_id)
  })
})
