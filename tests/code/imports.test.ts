import { describe, expect, test } from 'bun:test'
import { cycles, folderImports, offences, programFiles, readImports } from './imports.ts'

test('every import obeys the table, and no files import each other in a circle', async () => {
  expect(programFiles()).toContain('services/kit/http/app.ts')
  const graph = await readImports()
  expect(graph.offences).toEqual([])
  expect(cycles(graph.files)).toEqual([])
  expect(cycles(folderImports(graph))).toEqual([])
})

describe('the checker', () => {
  const refused: [file: string, code: string][] = [
    ['services/auth/login/login.ts', `import { createUser } from '../../users/users.ts'`],
    ['services/auth/login/login.ts', `export { createUser } from '../../users/users.ts'`],
    ['services/auth/login/login.ts', `const users = await import('../../users/users.ts')`],
    ['services/auth/login/login.ts', `import '../../users/users.ts'`],
    ['services/auth/login/login.ts', `import { type User, createUser } from '../../users/users.ts'`],
    ['services/auth/login/login.ts', `import type { App } from '../../users/index.ts'`],
    ['services/auth/login/login.ts', `import { loginBody } from '../schemas/login.ts'`],
    ['services/auth/login/login.ts', `import type { Routes } from '../index.ts'`],
    ['services/auth/login/login.ts', `import type { Sessions } from '../../../db/auth/store.ts'`],
    ['services/auth/login/login.ts', `import { usersPeer } from '../../peers/users.ts'`],
    ['services/auth/login/login.ts', `import { t } from 'elysia'`],
    ['services/auth/login/login.ts', `import type { Context } from 'elysia'`],
    ['services/auth/login/login.ts', `import { Value } from 'elysia/type-system'`],
    ['services/auth/login/login.ts', `import { eq } from 'drizzle-orm'`],
    ['services/auth/login/login.ts', `import { Database } from 'bun:sqlite'`],
    ['services/auth/login/login.ts', `const store: import('../../../db/auth/store.ts').Store = given`],
    ['services/auth/login/login.ts', 'Bun.serve({ fetch: answer })'],
    ['services/auth/index.ts', `import { treaty } from '@elysiajs/eden'`],
    ['services/auth/index.ts', `import { openAuthStore } from '../../db/auth/store.ts'`],
    ['services/auth/index.ts', `import { userRead } from '../users/schemas/user.ts'`],
    ['services/auth/main.ts', `import { openUsersStore } from '../../db/users/store.ts'`],
    ['services/auth/schemas/login.ts', `import { login } from '../index.ts'`],
    ['services/peers/users.ts', `import { usersRoutes } from '../users/index.ts'`],
    ['services/peers/users.ts', `import { Elysia } from 'elysia'`],
    ['services/serve.ts', `import { usersRoutes } from './users/index.ts'`],
    ['services/auth/main.ts', `import { usersClient } from '../peers/users.ts'`],
    ['services/serve.ts', `import { run } from '../cli/main.ts'`],
    ['services/auth/main.ts', `import { SERVICES } from '../registry.ts'`],
    ['services/kit/process/config.ts', `import { SERVICES } from '../../registry.ts'`],
    ['services/kit/http/guard.ts', `import type { Session } from '../../auth/store/index.ts'`],
    ['services/kit/http/guard.ts', `import { openDatabase } from '../../../db/sqlite.ts'`],
    ['services/kit/clock.ts', `import { t } from 'elysia'`],
    ['services/kit/clock.ts', `import {\n  type Static,\n  type TSchema,\n} from 'elysia'`],
    ['services/mail/index.ts', ''],
    ['services/auth/login/login.ts', `const answer = await fetch(url)`],
    ['services/serve.ts', `export const link = { fetch: (request) => fetch(request) }`],
    ['services/peers/users.ts', `export const link = { fetch }`],
    ['cli/client/requests.ts', `const answer = await globalThis.fetch(url)`],
    ['cli/client/requests.ts', `const answer = await Bun.fetch(url)`],
    ['cli/commands/users/users.ts', `import { request } from 'node:http'`],
    ['cli/commands/users/users.ts', `const { get } = await import('https')`],
    ['guard/settings.ts', `const socket = new WebSocket(url)`],
    ['db/auth/store.ts', `import { createSession } from '../../services/auth/sessions/sessions.ts'`],
    ['db/auth/store.ts', `import type { UsersStore } from '../../services/users/store.ts'`],
    ['db/auth/store.ts', `import { keptSessions } from '../../services/auth/store/index.ts'`],
    ['db/auth/store.ts', `import { users } from '../schema/users.ts'`],
    ['db/outbox.ts', `import { users } from './schema/users.ts'`],
    ['db/sqlite/engine.ts', `import { openAuthStore } from '../auth/store.ts'`],
    ['db/sqlite/inspect/auth.ts', `import { sealedKeys } from '../../auth/restored.ts'`],
    ['db/auth/store.ts', `import { createBackup } from '../sqlite/backup/create.ts'`],
    ['services/auth/sessions/rotation.ts', `import { createSession } from './sessions.ts'`],
    ['services/auth/main.ts', `import { openDatabase } from '../../db/sqlite/open-database.ts'`],
    ['services/users/recovery.ts', `import { openUsersStore } from '../../db/users/store.ts'`],
    ['services/auth/keys/sealing.ts', `import { openAuthStore } from '../../../db/auth/store.ts'`],
    ['db/auth/store.ts', `import { t } from 'elysia'`],
    ['db/auth/store.ts', `import { text } from '../../services/kit/http/guard.ts'`],
    ['cli/commands/user.ts', `import { usersRoutes } from '../../services/users/index.ts'`],
    ['cli/commands/user.ts', `import type { User } from '../../services/users/store.ts'`],
    ['cli/commands/user.ts', `import { sql } from 'drizzle-orm'`],
    ['guard/create.ts', `import { guard } from '../services/kit/http/guard.ts'`],
    ['guard/create.ts', `import { elysiaGuard } from './elysia.ts'`],
    ['guard/create.ts', `import { Elysia } from 'elysia'`],
    ['guard/create.ts', `import { authPeer } from '../services/peers/auth.ts'`],
    ['guard/elysia.ts', `import { createGuard } from './create.ts'`],
  ]
  test.each(refused)('refuses in %s: %j', (file, code) => {
    expect(offences(file, code)).toHaveLength(1)
  })

  const allowed: [file: string, code: string][] = [
    ['services/auth/login/login.ts', `import type { UserRead } from '../../users/schemas/user.ts'`],
    ['services/auth/login/login.ts', `import { type UserRead } from '../../users/schemas/user.ts'`],
    [
      'services/auth/login/login.ts',
      `import type { LoginBody } from '../schemas/login.ts'\nimport { Problem } from '../../kit/problem.ts'`,
    ],
    ['services/kit/passwords/policy.ts', `import list from './common-passwords.txt' with { type: 'text' }`],
    ['services/auth/index.ts', `import { Elysia } from 'elysia'\nimport { login } from './login/login.ts'`],
    ['services/auth/main.ts', `import { openAuthStore } from '../../db/auth/store.ts'`],
    [
      'services/peers/users.ts',
      `import { treaty } from '@elysiajs/eden'\nimport type { UsersApp } from '../users/index.ts'`,
    ],
    ['services/serve.ts', `import { SERVICES } from './registry.ts'`],
    ['services/registry.ts', `const load = () => import('./users/main.ts')`],
    ['services/serve.ts', `import type { Mailer } from './auth/mail/transport.ts'`],
    ['services/kit/http/app.ts', `import { cors } from '@elysiajs/cors'`],
    ['services/kit/log.ts', `import pino from 'pino'`],
    ['db/auth/store.ts', `import type { AuthStore } from '../../services/auth/store/index.ts'`],
    ['db/auth/store.ts', `import { HOUR } from '../../services/kit/clock.ts'`],
    ['db/auth/store.ts', '// Not Bun.serve: a store has no port.'],
    ['db/auth/sessions.ts', `import { decideRotation } from '../../services/auth/sessions/rotation.ts'`],
    ['db/modules/store.ts', `import { planChange } from '../../services/modules/dependencies.ts'`],
    ['db/sqlite/backup/reconcile.ts', `import * as auth from '../../auth/restored.ts'`],
    ['db/sqlite/migrations/auth.ts', `import auth from './auth/0001_auth.sql' with { type: 'text' }`],
    ['cli/commands/user.ts', `import type { UsersApp } from '../../services/users/index.ts'`],
    ['cli/main.ts', `import { version } from '../package.json'`],
    ['services/kit/outgoing.ts', `const answer = await fetch(url, { proxy: false })`],
    ['services/peers/users.ts', `const call = ({ fetch }: Link) => fetch(url)`],
    ['services/serve.ts', `Bun.serve({ fetch: (request) => app.fetch(request) })`],
    [
      'cli/client/api.ts',
      `export class Api {\n  async fetch(): Promise<typeof fetch> {\n    return await this.fetch()\n  }\n}`,
    ],
    ['guard/direct.ts', `import { request } from 'node:http'`],
    ['guard/create.ts', `import { accessControl } from '../services/kit/access/access.ts'`],
  ]
  test.each(allowed)('accepts in %s: %j', (file, code) => {
    expect(offences(file, code)).toEqual([])
  })
})
