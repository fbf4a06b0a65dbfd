import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseProcfile } from '../../../cli/runner/runner.ts'
import { newEmail, PASSWORD } from '../../support/actors.ts'
import { openSignIn, SIGN_IN_ANSWERS, Visitor } from '../../support/browser/visitor.ts'
import { eventually } from '../../support/eventually.ts'
import { as, call } from '../../support/http.ts'
import { freePort } from '../../support/servers/ports.ts'
import { launch, ownSettings, processesWith, ROOT, type Running, runTool, temporary } from '../../support/tool.ts'

const folder = temporary('package-binary')
afterAll(() => folder.remove())

describe('the executable', () => {
  const home = folder.fresh()
  const tool = join(home, 'ch202')
  beforeAll(async () => {
    mkdirSync(home)
    const built = await runTool(['package', 'binary', '--out', tool])
    expect([built.status, built.stdout]).toEqual([0, ''])
  }, 600_000)

  /** Processes that a failed test has not stopped. */
  const unstopped = new Set<Running>()
  afterAll(async () => {
    for (const running of unstopped) running.signal('SIGTERM')
    await Promise.all([...unstopped].map(({ ended }) => ended))
  })

  /** Runs the executable in a directory of its own, without PATH and HOME. */
  const alone = (words: string[], env: Record<string, string> = {}, files: Record<string, string> = {}): Running => {
    const cwd = folder.fresh()
    mkdirSync(cwd)
    for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text)
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const running = launch(['env', '-i', ...variables, tool, ...words], { cwd })
    unstopped.add(running)
    running.ended.then(() => unstopped.delete(running))
    return running
  }
  /** Settings without a data directory: the data is in the current directory. */
  const settings = (env: Record<string, string> = {}) => {
    const { PATH: _, HOME: __, CH202_DATA_DIR: ___, ...rest } = ownSettings('', env)
    return rest
  }

  test('is one file, which does not contain the path where it was built', () => {
    expect(readdirSync(home)).toEqual(['ch202'])
    expect((statSync(tool).mode & 0o777).toString(8)).toBe('755')
    expect(readFileSync(tool).includes(ROOT)).toBe(false)
  })

  test('is built the same, byte for byte, under another name', async () => {
    const other = join(folder.fresh(), 'made', 'tool')
    const { status, stdout } = await runTool(['package', 'binary', '--out', other, '-o', 'json'])
    expect([status, JSON.parse(stdout)]).toEqual([0, { ok: true, path: other, changed: true }])
    expect(readFileSync(other).equals(readFileSync(tool))).toBe(true)
  })

  test('does not replace a directory', async () => {
    const { status, stderr } = await runTool(['package', 'binary', '--out', home])
    expect([status, stderr]).toEqual([1, `✗ ${home} exists and is not a file (in_the_way)\n`])
    expect(readdirSync(home)).toEqual(['ch202'])
  })

  test('leaves no temporary files after a Ctrl-C', async () => {
    const directory = folder.fresh()
    const running = launch([process.execPath, 'cli/main.ts', 'package', 'binary', '--out', join(directory, 'ch202')])
    await eventually(() => existsSync(directory) && readdirSync(directory).length > 0)
    running.signal('SIGINT')
    expect((await running.ended).status).toBe(130)
    expect(readdirSync(directory)).toEqual([])
  })

  const answers: [words: string[], stdout: RegExp][] = [
    [['version'], /^\d+\.\d+\.\d+\n$/],
    [['openapi'], /^\{[\s\S]*"openapi": "3\.1\.0"[\s\S]*\}\n$/],
    [['migrate'], /^auth\s.*0001_auth[\s\S]*users\s.*0002_deleted_ids/],
    [['package', 'systemd'], /^ExecStart=\/usr\/local\/bin\/ch202 serve modules$/m],
    [['package', 'caddy'], /^\treverse_proxy|^\t\treverse_proxy http:\/\/127\.0\.0\.1:3001 \{$/m],
  ]
  test.each(answers)('runs %p', async (words, stdout) => {
    const ended = await alone(words).ended
    expect([ended.status, ended.stderr]).toEqual([0, ''])
    expect(ended.stdout).toMatch(stdout)
  })

  test('does not build another, and says where to build one', async () => {
    const { status, stdout, stderr } = await alone(['package', 'binary']).ended
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/no_source[\s\S]*→ in a checkout: bun ch202 package binary/)
  })

  test('loads no code from the current directory', async () => {
    const trap = join(folder.path, 'sprung')
    const files = {
      'bunfig.toml': 'preload = ["./trap.ts"]',
      'trap.ts': `require('node:fs').writeFileSync('${trap}', '')`,
      'tsconfig.json': '{ "compilerOptions": { "jsxImportSource": "evil", "paths": { "*": ["./trap.ts"] } } }',
    }
    expect((await alone(['version'], {}, files).ended).status).toBe(0)
    expect(existsSync(trap)).toBe(false)
  })

  test('serves: users, logins, modules, pages, the document and its script, the list of common passwords', async () => {
    const { AUTH_URL: _, USERS_URL: __, MODULES_URL: ___, WEB_URL: ____, ...env } = settings()
    const base = env.CH202_URL as string
    const running = alone(['serve'], env)
    await running.printed(/ready at/)
    const email = newEmail()
    const result = await alone(['users', 'create', email, '--generate', '-o', 'json'], env).ended
    expect([result.status, result.stderr]).toEqual([0, ''])
    const password = JSON.parse(result.stdout).password as string
    const login = await call(base, 'POST /api/v1/auth/login', { body: { email, password } })
    expect(login.status).toBe(200)
    const bearer = as.bearer(login.body.access_token)
    expect((await call(base, 'GET /auth/me', { headers: bearer })).body).toMatchObject({ email })

    const body = { email: newEmail(), password: PASSWORD }
    expect((await call(base, 'POST /auth/register', { body: { ...body, password: 'password1' } })).body.code).toBe(
      'weak_password',
    )
    expect((await call(base, 'POST /register', { body })).status).toBe(201)
    const module = { id: 'billing', name: 'Billing', description: 'Invoices' }
    expect((await call(base, 'POST /modules', { headers: as.operator, body: module })).status).toBe(201)
    const enabled = await call(base, 'POST /modules/billing/enable', { headers: bearer })
    expect(enabled.body).toMatchObject({ id: 'billing', enabled: true })

    expect((await openSignIn(base)).answers).toEqual(SIGN_IN_ANSWERS as string[])
    const visitor = new Visitor(base)
    const seen = await visitor.fillIn('/sign-in', { login: email, password })
    expect([seen.status, seen.at]).toEqual([200, '/account'])
    expect(seen.text).toContain(email)

    const page = await call(base, 'GET /swagger')
    expect(page.text).toContain('/swagger/scalar.js')
    const script = await call(base, 'GET /swagger/scalar.js')
    expect([script.status, script.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8'])
    expect(script.text.length).toBeGreaterThan(1_000_000)
    // Mails need a library that is loaded later.
    expect((await call(base, 'POST /auth/password-reset-request', { body: { email } })).status).toBe(202)
    expect((await call(base, 'POST /auth/logout', { headers: bearer })).status).toBe(204)
    expect((await call(base, 'GET /modules/', { headers: bearer })).body.code).toBe('token_revoked')
    await running.printed(/mail\.written/)
    running.signal('SIGTERM')
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([0, ''])
  })

  test('starts the services of the built-in Procfile, and stops all of them', async () => {
    const marker = `package-${freePort()}`
    const env = settings({ LOG_FORMAT: 'pretty', MARKER: marker })
    const running = alone(['start'], env)
    await running.printed(/ready at/, 4)
    const names = parseProcfile(readFileSync(join(ROOT, 'Procfile'), 'utf8')).map(({ name }) => name)
    expect(
      processesWith(marker)
        .map(({ command }) => command)
        .sort(),
    ).toEqual([`${tool} start`, ...names.map((name) => `${tool} serve ${name}`)].sort())
    const body = { email: newEmail(), password: PASSWORD }
    const registered = await call(env.AUTH_URL as string, 'POST /api/v1/auth/register', { body })
    const bearer = as.bearer(registered.body.tokens.access_token)
    expect((await call(env.MODULES_URL as string, 'GET /modules', { headers: bearer })).status).toBe(200)
    expect((await openSignIn(env.WEB_URL as string)).answers).toEqual(SIGN_IN_ANSWERS as string[])
    running.signal('SIGTERM')
    const { status, stdout } = await running.ended
    expect(status).toBe(0)
    expect(stdout).toMatch(/^auth +\| \[.*\] INFO/m)
    expect(processesWith(marker)).toEqual([])
  })

  test('starts the Procfile in the current directory, if there is one', async () => {
    const marker = `package-${freePort()}`
    const env = settings({ MARKER: marker })
    const procfile = `modules: bun cli/main.ts serve modules\nother: sh -c 'echo "from $MARKER"; exec sleep 60'\n`
    const running = alone(['start'], env, { Procfile: procfile })
    await running.printed(/modules \| modules ready at/)
    await running.printed(new RegExp(`other   \\| from ${marker}`))
    running.signal('SIGTERM')
    await running.ended
    expect(running.stdout()).not.toMatch(/^(auth|users) /m)
    expect(processesWith(marker)).toEqual([])
  })
})
