import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { PATIENCE } from '../support/eventually.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { launch, ROOT } from '../support/tool.ts'

const GENERATED = join(ROOT, 'tests', '.generated')

/** A program of a team that has the document and no code of Ch202. */
const PROGRAM = `
import createClient from 'openapi-fetch'
import type { components, paths } from './api.ts'

type Problem = components['schemas']['Problem']

const [auth = '', users = '', email = '', password = ''] = process.argv.slice(2)
const atAuth = createClient<paths>({ baseUrl: auth })
const atUsers = createClient<paths>({ baseUrl: users })

const registered = await atAuth.POST('/api/v1/auth/register', { body: { email, password, name: 'Ana' } })
if (!registered.data) throw new Error(registered.error.code)
const session: string | undefined = registered.data.tokens?.session_id

const login = await atAuth.POST('/api/v1/auth/login', { body: { email, password } })
if (!login.data) throw new Error(login.error.code)
const headers = { authorization: \`Bearer \${login.data.access_token}\` }

const me = await atAuth.GET('/api/v1/auth/me', { headers })
if (!me.data) throw new Error(me.error.code)
const path = { user_id: me.data.id }
const read = await atUsers.GET('/api/v1/users/{user_id}', { params: { path }, headers })
const sessions = await atAuth.GET('/api/v1/auth/sessions', { params: { query: { size: 1 } }, headers })

const wrong = await atAuth.POST('/api/v1/auth/login', { body: { login: email, password: 'not the password' } })
const problem: Problem | undefined = wrong.error
const out = await atAuth.POST('/api/v1/auth/logout', { headers })
const after = await atAuth.GET('/api/v1/auth/me', { headers })

console.log(JSON.stringify({
  registered: registered.data.status,
  otherSession: session !== login.data.session_id,
  me: { email: me.data.email, name: me.data.name },
  same: read.data?.id === me.data.id,
  sessions: [sessions.data?.items.length, sessions.data?.total],
  wrong: [problem?.statusCode, problem?.code],
  out: out.response.status,
  after: after.error?.code,
}))
`

/** Mistakes, one per line. `satisfies` catches an unknown field, which openapi-fetch accepts by itself. */
const MISTAKES = `
import createClient from 'openapi-fetch'
import type { paths } from './api.ts'

type Registration = paths['/api/v1/auth/register']['post']['requestBody']['content']['application/json']

const client = createClient<paths>({ baseUrl: '' })
const email = 'ana@example.org'
const password = 'correct horse battery'
const headers = {}

@client.POST('/api/v1/auth/register', { body: { email, password, nickname: 'x' } satisfies Registration })
@client.POST('/api/v1/auth/register', { body: { mail: email, password } })
@client.POST('/api/v1/auth/register', { body: { email: 7, password } })
@client.POST('/api/v1/auth/login', { body: { email } })
@client.POST('/api/v1/auth/login', {})
@client.POST('/api/v1/auth/log-in', { body: { email, password } })
@client.GET('/api/v1/auth/login', { headers })
@client.GET('/api/v1/users/{user_id}', { headers })
@client.GET('/api/v1/users', { params: { query: { status: 'gone' } }, headers })
@client.GET('/api/v1/auth/me', { headers }).then(({ data }) => data?.password)
@client.GET('/api/v1/auth/me', { headers }).then(({ data }) => data?.name.length)
@client.GET('/api/v1/auth/me', { headers }).then(({ error }) => error?.code === 'no_such_code')
`

describe('a client generated from the document', () => {
  const here = running(inProcess)
  let folder: string
  beforeAll(async () => {
    mkdirSync(GENERATED, { recursive: true })
    folder = mkdtempSync(join(GENERATED, 'client-'))
    const document = (await run(['cli/main.ts', 'openapi'])).stdout
    const types = await run(['tests/openapi/client-types.ts'], document)
    expect(types.stderr).toBe('')
    await Bun.write(join(folder, 'api.ts'), types.stdout)
    await Bun.write(join(folder, 'program.ts'), PROGRAM)
    await Bun.write(join(folder, 'expected.ts'), MISTAKES.replaceAll(/^@/gm, '// @ts-expect-error: a mistake\n'))
    await Bun.write(join(folder, 'mistakes.ts'), MISTAKES.replaceAll(/^@/gm, ''))
    // Compiles each file by itself, as strictly as this repository.
    for (const name of ['program', 'expected', 'mistakes'])
      await Bun.write(
        join(folder, `${name}.json`),
        JSON.stringify({ extends: '../../../tsconfig.json', include: [], files: [`./${name}.ts`] }),
      )
  }, PATIENCE)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const compile = (name: string) => run(['node_modules/typescript/bin/tsc', '-p', join(folder, `${name}.json`)])

  test('type-checks', async () => {
    expect(await compile('program')).toMatchObject({ stdout: '', stderr: '', status: 0 })
  })

  test('does not type-check with a wrong path, field, value or code', async () => {
    const mistakes = MISTAKES.split('\n').flatMap((line, index) => (line.startsWith('@') ? [index + 1] : []))
    const [expected, { status, stdout }] = await Promise.all([compile('expected'), compile('mistakes')])
    expect(expected).toMatchObject({ stdout: '', stderr: '', status: 0 })
    expect(status).not.toBe(0)
    const refused = [...stdout.matchAll(/mistakes\.ts\((\d+),/g)].map((match) => Number(match[1]))
    expect([...new Set(refused)]).toEqual(mistakes)
  })

  test('registers, logs in, reads its user, and gets a typed error', async () => {
    const email = newEmail()
    const { auth, users } = here.system.url
    const { status, stderr, stdout } = await run([join(folder, 'program.ts'), auth, users, email, PASSWORD])
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    expect(JSON.parse(stdout)).toEqual({
      registered: 'active',
      otherSession: true,
      me: { email, name: 'Ana' },
      same: true,
      sessions: [1, 2],
      wrong: [401, 'invalid_credentials'],
      out: 204,
      after: 'token_revoked',
    })
  })
})

/** Runs Bun to its end. */
function run(words: string[], stdin = '') {
  return launch([process.execPath, ...words], { stdin }).ended
}
