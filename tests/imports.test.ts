import { describe, expect, test } from 'bun:test'
import { dirname, join } from 'node:path'
import { SERVICE_NAMES } from '../services/kit/services.ts'

/**
 * Who may import whom. The linter refuses what no import may name, of whatever kind (`biome.json`); it can't tell an
 * `import type`, which is gone at run time, from an import of values. This table can. A file falls under the first row
 * that fits it, and what a row does not name is refused.
 */
interface Row {
  files: string
  /** What the files may import values of; types of it too. */
  values: string[]
  /** What they may import types of, beyond that. */
  types?: string[]
  /** Whether they may open a port. */
  serves?: true
}

const HTTP = ['elysia', '@elysiajs/!(eden)']
const SQL = ['drizzle-orm', 'drizzle-orm/**', 'bun:sqlite']
const EDEN = ['@elysiajs/eden', '@elysiajs/eden/**']
const KIT = 'services/kit/*.ts'
const HTTP_NAMES =
  'listen,service,runtime,guard,health,schema,validation,page,openapi,operation,swagger,user,event-schemas'
const PLAIN_KIT = `services/kit/!(${HTTP_NAMES.replaceAll(',', '|')}).ts`
/** Packages of which only the rooms that name them may know. The others are anyone's. */
const RESERVED = [...HTTP, 'elysia/**', ...SQL, ...EDEN, 'drizzle-kit', 'drizzle-kit/**']

const rows: Row[] = [
  { files: `services/kit/{${HTTP_NAMES}}.ts`, values: [KIT, ...HTTP, 'node_modules/@scalar/**'], serves: true },
  { files: 'services/kit/**', values: [KIT, 'services/kit/common-passwords*.txt'] },
  ...SERVICE_NAMES.flatMap((name): Row[] => [
    {
      files: `services/${name}/main.ts`,
      values: [`services/${name}/**`, KIT, `db/${name}/**`, 'db/*.ts', ...HTTP],
      serves: true,
    },
    {
      files: `services/${name}/{index,v0}.ts`,
      values: [`services/${name}/!(main).*`, KIT, ...HTTP],
      types: ['services/*/!(main).ts'],
    },
    {
      files: `services/${name}/model.ts`,
      values: [`services/${name}/!(main|index|v0).*`, KIT, ...HTTP],
      types: ['services/*/model.ts'],
    },
    {
      files: `services/${name}/**`,
      values: [`services/${name}/!(main|index|v0|model).*`, KIT],
      types: ['services/*/!(main|index|v0).ts'],
    },
  ]),
  { files: 'services/peers.ts', values: [KIT, ...EDEN], types: ['services/*/!(main).ts'] },
  {
    files: 'services/{serve,whole}.ts',
    values: ['services/{peers,whole}.ts', 'services/*/main.ts', KIT, ...HTTP],
    types: ['services/*/*.ts'],
    serves: true,
  },
  {
    files: 'services/documentation.ts',
    values: ['services/*/{index,v0}.ts', KIT],
  },
  {
    files: 'services/recovery.ts',
    values: ['services/users/!(main|index|v0|model).ts', KIT],
    types: ['services/*/peers.ts'],
  },
  { files: 'services/sealed.ts', values: ['services/auth/sealing.ts', KIT] },
  ...SERVICE_NAMES.map(
    (name): Row => ({
      files: `db/${name}/**`,
      values: [`db/${name}/**`, 'db/*.ts', PLAIN_KIT, ...SQL],
      types: [`services/${name}/store.ts`, KIT],
    }),
  ),
  {
    files: 'db/*',
    values: ['db/*.ts', 'db/*/{audit-chain,migrations,restored}.ts', PLAIN_KIT, ...SQL],
    types: [KIT],
  },
  { files: 'guard/elysia.ts', values: ['guard/settings.ts', 'elysia'], types: ['guard/*.ts', KIT] },
  { files: 'guard/**', values: ['guard/!(elysia|build).ts', PLAIN_KIT], types: [KIT] },
  {
    files: 'cli/**',
    values: ['cli/**', 'services/{serve,peers,documentation,recovery,sealed}.ts', KIT, 'db/**', ...EDEN],
    types: ['services/*/index.ts'],
  },
]

/** Every room may say the name and the version of the program. */
const ANYONES = 'package.json'

type Kind = 'value' | 'type'

const fits = (patterns: string[], path: string) => patterns.some((pattern) => new Bun.Glob(pattern).match(path))

const transpiler = new Bun.Transpiler({ loader: 'ts' })

/** What a file names: as Bun sees it at run time (values), and whatever its text names beyond that (types). */
function importsOf(code: string): Map<string, Kind> {
  const found = new Map<string, Kind>()
  for (const [, path] of code.matchAll(/^(?:import|export)\b[^'"]*?\bfrom\s+['"]([^'"]+)['"]/gm))
    found.set(path as string, 'type')
  for (const [, path] of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) found.set(path as string, 'type')
  for (const { path } of transpiler.scanImports(code.replace(/^#!.*/, ''))) found.set(path, 'value')
  return found
}

/** The one file that calls over HTTP, and decides whether a proxy may see a call. */
const OUTGOING = 'services/kit/outgoing.ts'
/** Uses Node's own client, because Node's `fetch` has no option against proxies. */
const NODE_CLIENT = 'guard/direct.ts'
const CLIENTS = ['http', 'https', 'http2', 'undici'].flatMap((name) => [name, `node:${name}`])

const CALLS = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest', 'Bun.connect', 'Bun.FetchSession']
const REPLACED = '__called_outside__'
/** Replaces these names where they are the global ones, and not a method or a variable of the file. */
const withoutCalls = new Bun.Transpiler({
  loader: 'ts',
  define: Object.fromEntries([...CALLS, 'globalThis.fetch', 'Bun.fetch', 'self.fetch'].map((name) => [name, REPLACED])),
})

/** Whether a file reaches out by itself. */
function callsOutside(file: string, code: string): boolean {
  if (file === OUTGOING) return false
  const isClient = [...importsOf(code).keys()].some((path) => CLIENTS.includes(path))
  return (isClient && file !== NODE_CLIENT) || withoutCalls.transformSync(code.replace(/^#!.*/, '')).includes(REPLACED)
}

/** What in a file breaks the table, one line each. */
function offences(file: string, code: string): string[] {
  const row = rows.find(({ files }) => fits([files], file))
  if (!row) return [`${file} stands in no row of the table`]
  const served = !row.serves && /\bBun\.serve\b/.test(transpiler.transformSync(code)) ? [`${file} opens a port`] : []
  const imported = [...importsOf(code)].flatMap(([path, kind]) => {
    const target = path.startsWith('.') ? join(dirname(file), path) : path
    const free = target === ANYONES || (target === path && !fits(RESERVED, path))
    const allowed = kind === 'type' ? [...row.values, ...(row.types ?? [])] : row.values
    return free || fits(allowed, target) ? [] : [`${file} imports a ${kind} of ${target}`]
  })
  const outgoing = callsOutside(file, code) ? [`${file} calls outside, past ${OUTGOING}`] : []
  return [...imported, ...served, ...outgoing]
}

/** Every file of the program itself. Tests import what they test. */
function sources(): string[] {
  const root = join(import.meta.dir, '..')
  return [...new Bun.Glob('{services,db,cli,guard}/**/*.ts').scanSync(root)].filter(
    (file) => !/\.(test|d)\.ts$/.test(file),
  )
}

test('every import keeps to the table', async () => {
  const files = sources()
  expect(files).toContain('services/kit/service.ts')
  const found: string[] = []
  for (const file of files) found.push(...offences(file, await Bun.file(join(import.meta.dir, '..', file)).text()))
  expect(found).toEqual([])
})

describe('the checker', () => {
  const refused: [file: string, code: string][] = [
    ['services/auth/login.ts', `import { createUser } from '../users/users.ts'`],
    ['services/auth/login.ts', `export { createUser } from '../users/users.ts'`],
    ['services/auth/login.ts', `const users = await import('../users/users.ts')`],
    ['services/auth/login.ts', `import '../users/users.ts'`],
    ['services/auth/login.ts', `import { type User, createUser } from '../users/users.ts'`],
    ['services/auth/login.ts', `import type { App } from '../users/index.ts'`],
    ['services/auth/login.ts', `import { loginBody } from './model.ts'`],
    ['services/auth/login.ts', `import type { Routes } from './index.ts'`],
    ['services/auth/login.ts', `import type { Sessions } from '../../db/auth/store.ts'`],
    ['services/auth/login.ts', `import { usersPeer } from '../peers.ts'`],
    ['services/auth/login.ts', `import { t } from 'elysia'`],
    ['services/auth/login.ts', `import type { Context } from 'elysia'`],
    ['services/auth/login.ts', `import { Value } from 'elysia/type-system'`],
    ['services/auth/login.ts', `import { eq } from 'drizzle-orm'`],
    ['services/auth/login.ts', `import { Database } from 'bun:sqlite'`],
    ['services/auth/login.ts', `const store: import('../../db/auth/store.ts').Store = given`],
    ['services/auth/login.ts', 'Bun.serve({ fetch: answer })'],
    ['services/auth/index.ts', `import { treaty } from '@elysiajs/eden'`],
    ['services/auth/index.ts', `import { openAuthStore } from '../../db/auth/store.ts'`],
    ['services/auth/index.ts', `import { userRead } from '../users/model.ts'`],
    ['services/auth/main.ts', `import { openUsersStore } from '../../db/users/store.ts'`],
    ['services/auth/model.ts', `import { login } from './index.ts'`],
    ['services/peers.ts', `import { usersRoutes } from './users/index.ts'`],
    ['services/peers.ts', `import { Elysia } from 'elysia'`],
    ['services/serve.ts', `import { usersRoutes } from './users/index.ts'`],
    ['services/auth/main.ts', `import { usersOfAuth } from '../peers.ts'`],
    ['services/serve.ts', `import { run } from '../cli/main.ts'`],
    ['services/kit/guard.ts', `import type { Session } from '../auth/store.ts'`],
    ['services/kit/guard.ts', `import { openDatabase } from '../../db/sqlite.ts'`],
    ['services/kit/clock.ts', `import { t } from 'elysia'`],
    ['services/kit/clock.ts', `import {\n  type Static,\n  type TSchema,\n} from 'elysia'`],
    ['services/mail/index.ts', ''],
    ['services/auth/login.ts', `const answer = await fetch(url)`],
    ['services/serve.ts', `export const link = { fetch: (request) => fetch(request) }`],
    ['services/peers.ts', `export const link = { fetch }`],
    ['cli/requests.ts', `const answer = await globalThis.fetch(url)`],
    ['cli/requests.ts', `const answer = await Bun.fetch(url)`],
    ['cli/commands/users.ts', `import { request } from 'node:http'`],
    ['cli/commands/users.ts', `const { get } = await import('https')`],
    ['guard/settings.ts', `const socket = new WebSocket(url)`],
    ['db/auth/store.ts', `import { createSession } from '../../services/auth/sessions.ts'`],
    ['db/auth/store.ts', `import type { UsersStore } from '../../services/users/store.ts'`],
    ['db/auth/store.ts', `import { keptSessions } from '../../services/auth/store.ts'`],
    ['db/auth/store.ts', `import { users } from '../users/schema.ts'`],
    ['db/outbox.ts', `import { users } from './users/schema.ts'`],
    ['services/recovery.ts', `import { openUsersStore } from '../db/users/store.ts'`],
    ['services/sealed.ts', `import { login } from './auth/login.ts'`],
    ['db/auth/store.ts', `import { t } from 'elysia'`],
    ['db/auth/store.ts', `import { text } from '../../services/kit/schema.ts'`],
    ['cli/commands/user.ts', `import { usersRoutes } from '../../services/users/index.ts'`],
    ['cli/commands/user.ts', `import type { User } from '../../services/users/store.ts'`],
    ['cli/commands/user.ts', `import { sql } from 'drizzle-orm'`],
    ['guard/create.ts', `import { guard } from '../services/kit/guard.ts'`],
    ['guard/create.ts', `import { elysiaGuard } from './elysia.ts'`],
    ['guard/create.ts', `import { Elysia } from 'elysia'`],
    ['guard/create.ts', `import { authPeer } from '../services/peers.ts'`],
    ['guard/elysia.ts', `import { createGuard } from './create.ts'`],
  ]
  test.each(refused)('refuses in %s: %j', (file, code) => {
    expect(offences(file, code)).toHaveLength(1)
  })

  const allowed: [file: string, code: string][] = [
    ['services/auth/login.ts', `import type { UserRead } from '../users/model.ts'`],
    ['services/auth/login.ts', `import { type UserRead } from '../users/model.ts'`],
    [
      'services/auth/login.ts',
      `import type { LoginBody } from './model.ts'\nimport { Problem } from '../kit/problem.ts'`,
    ],
    ['services/kit/password-policy.ts', `import list from './common-passwords.txt' with { type: 'text' }`],
    ['services/auth/index.ts', `import { Elysia } from 'elysia'\nimport { login } from './login.ts'`],
    ['services/auth/main.ts', `import { openAuthStore } from '../../db/auth/store.ts'`],
    ['services/peers.ts', `import { treaty } from '@elysiajs/eden'\nimport type { UsersApp } from './users/index.ts'`],
    ['services/serve.ts', `import { usersService } from './users/main.ts'`],
    ['services/serve.ts', `import type { Mailer } from './auth/mailer.ts'`],
    ['services/kit/service.ts', `import { cors } from '@elysiajs/cors'`],
    ['services/kit/log.ts', `import pino from 'pino'`],
    ['db/auth/store.ts', `import type { AuthStore } from '../../services/auth/store.ts'`],
    ['db/auth/store.ts', `import { HOUR } from '../../services/kit/clock.ts'`],
    ['db/auth/store.ts', '// Not Bun.serve: a store has no port.'],
    ['db/auth/migrations.ts', `import auth from './migrations/0001_auth.sql' with { type: 'text' }`],
    ['cli/commands/user.ts', `import type { UsersApp } from '../../services/users/index.ts'`],
    ['cli/main.ts', `import { version } from '../package.json'`],
    ['services/kit/outgoing.ts', `const answer = await fetch(url, { proxy: false })`],
    ['services/peers.ts', `const call = ({ fetch }: Link) => fetch(url)`],
    ['services/serve.ts', `Bun.serve({ fetch: (request) => app.fetch(request) })`],
    [
      'cli/client.ts',
      `export class Api {\n  async fetch(): Promise<typeof fetch> {\n    return await this.fetch()\n  }\n}`,
    ],
    ['guard/direct.ts', `import { request } from 'node:http'`],
    ['guard/create.ts', `import { accessControl } from '../services/kit/access.ts'`],
  ]
  test.each(allowed)('lets pass in %s: %j', (file, code) => {
    expect(offences(file, code)).toEqual([])
  })
})
