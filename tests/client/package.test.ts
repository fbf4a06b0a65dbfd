import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { User } from '../../client/index.ts'
import type { ProblemCode } from '../../services/kit/problem.ts'
import type { UserRead } from '../../services/kit/schema/user.ts'
import { type Installed, install, pack } from '../guard/installed.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { call } from '../support/http.ts'
import { inProcess, type System } from '../support/system.ts'
import { launch, ROOT, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const directory = temporary('client-package')
let app: Installed
let system: System

beforeAll(async () => {
  app = await install(await pack(directory.fresh()), directory.fresh(), ['bun-types'])
  system = await inProcess({ LOG_LEVEL: 'silent' })
})
afterAll(async () => {
  await system?.stop()
  directory.remove()
})

const bundle = () => readFileSync(join(app.path, 'node_modules/ch202/dist/client/index.js'))

test('the client weighs less than 6 KB compressed, and imports nothing', () => {
  expect(Bun.gzipSync(bundle()).length).toBeLessThan(6 * 1024)
  expect(new Bun.Transpiler({ loader: 'js' }).scan(bundle().toString()).imports).toEqual([])
  expect(bundle().toString()).not.toMatch(/\b(Bun|process|require)\b/)
})

describe('the types of the client', () => {
  const PROGRAM = `import { type Client, Ch202Error, createClient, type SignInResult } from 'ch202/client'
    export const client: Client = createClient({ url: 'http://127.0.0.1:3000' })
    export async function enter(result: SignInResult, code: string): Promise<string> {
      if (result.status === 'complete') return (await client.user())?.email ?? ''
      if (result.status === 'enrol_factor') return result.challengeId
      return await enter(await result.confirm(code), code)
    }
    export const isWrong = (error: unknown) => error instanceof Ch202Error && error.code === 'invalid_credentials'
    export const off = client.on('change', ({ reason, signedIn }) => console.log(reason, signedIn))
    export const orders = client.fetch(new Request('http://127.0.0.1:3000/'), { method: 'POST' })\n`

  test('compile strictly with those of Bun, and those of a page', async () => {
    app.write('program.ts', PROGRAM)
    expect(await app.faults('typescript', ['program.ts'])).toEqual([])
    app.write('page.ts', `${PROGRAM}createClient({ url: '', storage: localStorage })\n`)
    expect(await app.faults('typescript-5', ['page.ts'], { lib: ['ESNext', 'DOM'], types: [] })).toEqual([])
  })

  const wrong: [name: string, code: string][] = [
    ['no-password', `client.signIn({ login: 'ana' })`],
    ['no-name', `client.signIn({ password: 'x' })`],
    ['code-of-a-complete-one', `client.signIn({ login: 'ana', password: 'x' }).then((result) => result.confirm('1'))`],
    ['user-unchecked', `client.user().then((user) => user.email)`],
  ]
  test('refuse what cannot work', async () => {
    for (const [name, code] of wrong) app.write(`${name}.ts`, `${PROGRAM}export const it = ${code}\n`)
    const faults = await app.faults(
      'typescript',
      wrong.map(([name]) => `${name}.ts`),
    )
    expect(faults.map((line) => line.split('.ts(')[0]).sort()).toEqual(wrong.map(([name]) => name).sort())
  })

  test('are those of the API', () => {
    // Checked by the compiler: a user of the API is one of the client, with the same fields.
    const ofApi: (user: UserRead) => User = (user) => user
    const ofClient: (name: keyof User) => keyof UserRead = (name) => name
    const codesOfClient = [...readFileSync(join(ROOT, 'client/error.ts'), 'utf8').matchAll(/^ {2}\| '(\w+)'$/gm)].map(
      ([, code]) => code as ProblemCode | 'network_error' | 'unexpected_answer',
    )
    expect([typeof ofApi, typeof ofClient]).toEqual(['function', 'function'])
    const codes = readFileSync(join(ROOT, 'services/kit/problem.ts'), 'utf8')
    const unknown = codesOfClient.filter((code) => !codes.includes(`  ${code}: [`))
    expect(unknown).toEqual(['network_error', 'unexpected_answer'])
  })
})

const node = Bun.which('node')
const RUNTIMES: [name: string, command: string[]][] = [
  ['Bun', [process.execPath, '--no-install']],
  // Tested only if Node is installed.
  ...(node ? ([['Node', [node]]] as [string, string[]][]) : []),
]

describe.each(RUNTIMES)('a program of %s', (_, command) => {
  const run = (name: string, program: string, env: Record<string, string>) => {
    app.write(name, program)
    return launch([...command, name], { cwd: app.path, env }).ended
  }

  test('signs in, keeps the session over a refresh, signs out, and ends by itself', async () => {
    const program = `import { Ch202Error, createClient } from 'ch202/client'
      const client = createClient({ url: process.env.CH202_URL })
      const { email, password } = JSON.parse(process.env.CREDENTIALS)
      const wrong = await client.signIn({ email, password: 'x' }).catch((error) => error)
      const changes = []
      client.on('change', ({ reason }) => changes.push(reason))
      const { status } = await client.signUp({ email, password })
      const token = await client.accessToken()
      const other = await client.accessToken(token)
      const post = await client.fetch(new Request(process.env.CH202_URL + '/api/v1/auth/validate-token', { method: 'POST' }))
      const user = await client.user()
      const ended = await client.signOut()
      console.log(JSON.stringify({
        wrong: [wrong instanceof Ch202Error, wrong.code], status, isOther: token !== other, post: (await post.json()).valid,
        email: user.email, ended, after: await client.user(), changes,
      }))`
    const email = newEmail()
    const env = { CH202_URL: system.url.auth, CREDENTIALS: JSON.stringify({ email, password: PASSWORD }) }
    const { status, stderr, stdout } = await run('once.mjs', program, env)
    expect({ status, stderr, ...JSON.parse(stdout) }).toEqual({
      status: 'complete',
      stderr: '',
      wrong: [true, 'invalid_credentials'],
      isOther: true,
      post: true,
      email,
      ended: true,
      after: null,
      changes: ['signed_in', 'signed_out'],
    })
    expect(status).toBe(0)
  })

  test('does not send the token to another origin by a redirect', async () => {
    const seen: (string | null)[] = []
    const other = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request) {
        seen.push(request.headers.get('authorization'))
        return new Response('ok')
      },
    })
    const listed = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request) {
        seen.push(request.headers.get('authorization')?.slice(0, 6) ?? null)
        return Response.redirect(other.url.href, 307)
      },
    })
    const program = `import { createClient } from 'ch202/client'
      const client = createClient({ url: process.env.CH202_URL, origins: [process.env.LISTED] })
      await client.signUp(JSON.parse(process.env.CREDENTIALS))
      await client.fetch(process.env.LISTED)`
    const env = {
      CH202_URL: system.url.auth,
      LISTED: listed.url.origin,
      CREDENTIALS: JSON.stringify({ email: newEmail(), password: PASSWORD }),
    }
    expect(await run('redirected.mjs', program, env)).toMatchObject({ status: 0, stderr: '' })
    expect(seen).toEqual(['Bearer', null])
    other.stop(true)
    listed.stop(true)
  })

  test('has the session of the storage that the page shows', async () => {
    const page = readFileSync(join(ROOT, 'docs/browser.md'), 'utf8')
    const code = /^```js\n\/\/ storage\.js\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? ''
    const [email, env] = [newEmail(), { CH202_URL: system.url.auth }]
    await call(system.url.auth, 'POST /api/v1/auth/register', { body: { email, password: PASSWORD } })
    const program = `${code}
      await client.signIn({ login: '${email}', password: '${PASSWORD}' })
      console.log((await client.user()).email, [...items.keys()].join())`
    const { stderr, stdout } = await run('storage.mjs', program, env)
    expect([stderr, stdout.trim()]).toEqual(['', `${email} ch202:${system.url.auth}`])
  })
})
