import { afterAll, describe } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { modulesStoreSuite } from '../../services/modules/store-suite.ts'
import { openModulesStore } from './store.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-modules-'))
afterAll(() => rmSync(directory, { recursive: true }))

let count = 0
describe('the modules store on SQLite', () => {
  modulesStoreSuite(() => openModulesStore(join(directory, `${count++}.sqlite`)))
})
