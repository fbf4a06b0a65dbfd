import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { databases } from '../../services/databases.ts'
import { settingDefaults } from '../../services/kit/process/config.ts'
import { SERVICES } from '../../services/registry.ts'
import released from '../fixtures/v0.1.0/release.json'
import { ROOT } from '../support/tool.ts'

/** The section of the changes since the last release, `tests/fixtures/v0.1.0`. */
const unreleased =
  /^## \[Unreleased\]$([\s\S]*?)^## \[/m.exec(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'))?.[1] ?? ''

describe('the changelog names what an upgrade meets', () => {
  const now = [...settingDefaults({}, SERVICES).keys()]
  const before = released.settings
  test.each(now.filter((name) => !before.includes(name)))('the new setting %s', (name) => {
    expect(unreleased.includes(`\`${name}`)).toBe(true)
  })

  test('every setting that was removed', () => {
    const removed = before.filter((name) => !now.includes(name))
    expect(removed.filter((name) => !unreleased.includes(`\`${name}\``))).toEqual([])
  })

  const migrations = databases('').flatMap(({ migrations: all, name: database }) =>
    all
      .map(({ name }): [database: string, name: string] => [database, name])
      .filter(([, name]) => !(released.migrations as Record<string, string[]>)[database]?.includes(name)),
  )
  test.each(migrations)('the new migration of %s, %s', (_, name) => {
    expect(unreleased.includes(`\`${name}\``)).toBe(true)
  })

  test('and no migration of the release was changed or removed', () => {
    for (const { migrations: all, name } of databases('')) {
      const names = all.map((migration) => migration.name)
      const old = (released.migrations as Record<string, string[]>)[name] ?? []
      expect(names.slice(0, old.length)).toEqual(old)
    }
  })
})
