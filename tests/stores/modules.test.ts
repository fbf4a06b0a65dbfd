import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forgetUsers } from '../../db/modules/restored.ts'
import { openModulesStore } from '../../db/modules/store.ts'
import { modulesMigrations } from '../../db/sqlite/migrations/modules.ts'
import { openDatabase } from '../../db/sqlite/open-database.ts'
import { modulesStoreSuite } from './modules-suite.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-modules-'))
afterAll(() => rmSync(directory, { recursive: true }))

let count = 0
describe('the modules store on SQLite', () => {
  modulesStoreSuite(() => openModulesStore({ dataDir: join(directory, String(count++)) }))
})

describe('the feed of a modules database', () => {
  test('of an older program begins with all choices', async () => {
    const dataDir = join(directory, 'older')
    const path = join(dataDir, 'modules.sqlite')
    openDatabase(path, 'modules', modulesMigrations.slice(0, 1)).close()
    const older = new Database(path)
    older.run("INSERT INTO modules VALUES ('a', 'A', '', '1', '[]', '[]', 0, 1), ('b', 'B', '', '1', '[]', '[]', 1, 1)")
    older.run("INSERT INTO choices VALUES ('u1', 'a', 1, 1), ('u1', 'b', 0, NULL), ('u2', 'a', 0, NULL)")
    older.close()
    const store = await openModulesStore({ dataDir })
    expect(store.servedBefore).toBe(false)
    const { choices, seq } = await store.changesAfter('a', 0, 10)
    expect(choices).toEqual([
      { userId: 'u1', enabled: true },
      { userId: 'u2', enabled: false },
    ])
    expect([await store.lastChange('a'), await store.lastChange('b')]).toEqual([seq, 3])
    await store.disableModule('a', 'u1', [])
    expect(await store.changesAfter('a', seq, 10)).toMatchObject({ choices: [{ userId: 'u1', enabled: false }] })
    await store.close()
  })

  test('keeps its epoch, except in a restored copy', async () => {
    const dataDir = join(directory, 'named')
    const path = join(dataDir, 'modules.sqlite')
    const first = await openModulesStore({ dataDir })
    await first.close()
    const again = await openModulesStore({ dataDir })
    await again.close()
    expect([first.servedBefore, again.servedBefore]).toEqual([false, true])
    expect(again.epoch).toBe(first.epoch)
    const copy = openDatabase(path, 'modules', modulesMigrations)
    await forgetUsers(copy, [])
    copy.close()
    const copied = await openModulesStore({ dataDir })
    await copied.close()
    expect(copied.servedBefore).toBe(true)
    expect(copied.epoch).not.toBe(first.epoch)
  })
})
