import { afterAll, describe } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { authStoreSuite } from '../../services/auth/store-suite.ts'
import { openAuthStore } from './store.ts'

describe('the auth store on SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ch202-auth-store-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  authStoreSuite(() => openAuthStore(join(folder, 'auth.sqlite')))
})
