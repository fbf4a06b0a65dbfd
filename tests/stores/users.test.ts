import { afterAll, describe } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openUsersStore } from '../../db/users/store.ts'
import { usersStoreSuite } from './users-suite.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-users-'))
afterAll(() => rmSync(directory, { recursive: true }))

let count = 0
describe('the users store on SQLite', () => {
  usersStoreSuite(() => openUsersStore({ dataDir: join(directory, String(count++)) }), { merges: true })
})
