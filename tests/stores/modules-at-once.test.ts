import { describe, expect, test } from 'bun:test'
import { openModulesStore } from '../../db/modules/store.ts'
import type { ModulesStore } from '../../services/modules/store.ts'
import { AT_ONCE, FEW_COMMITS, newUsers, noticeAbout, ofEach, openBoth, testChanges, type Written } from './at-once.ts'
import { NOW } from './auth-suite.ts'

const stores = await openBoth(openModulesStore)
const MODULE = { name: '', description: '', version: '1', requiredRoles: [], requires: [], defaultEnabled: false }
for (const [, modules] of stores.both) {
  await modules.addModule({ ...MODULE, id: 'billing', createdAt: NOW }, [])
  await modules.addModule({ ...MODULE, id: 'reports', createdAt: NOW, requires: ['billing'] }, [])
}

const enable = (modules: ModulesStore, userId: string, { notices }: Pick<Written, 'notices'> = { notices: [] }) =>
  modules.enableModule('billing', { userId, roles: [] }, NOW, notices)
const hasEnabled = async (modules: ModulesStore, user: string) =>
  (await modules.moduleOf(user, 'billing'))?.enabledAt === NOW

testChanges(stores, {
  'enable a module': {
    make: enable,
    result: { outcome: 'switched', state: { enabledAt: NOW, chosen: true, module: { id: 'billing' } } },
    changed: (modules, users) => ofEach(users, (user) => hasEnabled(modules, user)),
  },
  'disable a module': {
    prepare: (modules, users) => ofEach(users, (user) => enable(modules, user)),
    make: (modules, user, { notices }) => modules.disableModule('billing', user, notices),
    result: { outcome: 'switched', state: { enabledAt: null, chosen: true } },
    changed: (modules, users) => ofEach(users, async (user) => !(await hasEnabled(modules, user))),
  },
  'lose their choices': {
    prepare: (modules, users) => ofEach(users, (user) => enable(modules, user)),
    make: (modules, user) => modules.removeUser(user),
    result: undefined,
    changed: (modules, users) =>
      ofEach(users, async (user) => (await enable(modules, user)).outcome === 'user_not_found'),
    isSilent: true,
  },
})

describe.each(stores.both)('changes of modules at once on %s', (_, modules) => {
  test('are decided each for its own user', async () => {
    const [deleted = '', lacking = '', ranked = '', some = ''] = newUsers()
    await modules.removeUser(deleted)
    const user = (userId: string) => ({ userId, roles: [] })
    const results = await Promise.all([
      modules.enableModule('billing', user(deleted), NOW, []),
      modules.enableModule('reports', user(lacking), NOW, []),
      modules.enableModule('none', user(ranked), NOW, []),
      modules.enableModule('billing', user(some), NOW, []),
    ])
    expect(results.map((result) => [result.outcome, 'modules' in result ? result.modules : null])).toEqual([
      ['user_not_found', null],
      ['requirement_off', ['billing']],
      ['module_not_found', null],
      ['switched', null],
    ])
  })

  test('of one user follow one another, so that each counts with those before it', async () => {
    const [userId = ''] = newUsers()
    const results = await Promise.all([
      modules.enableModule('billing', { userId, roles: [] }, NOW, []),
      modules.enableModule('reports', { userId, roles: [] }, NOW, []),
      modules.disableModule('billing', userId, []),
      modules.disableModule('reports', userId, []),
      modules.disableModule('billing', userId, []),
    ])
    expect(results.map(({ outcome }) => outcome)).toEqual(['switched', 'switched', 'required', 'switched', 'switched'])
  })

  test('have numbers of their own in the feed, which a reader gets in order', async () => {
    const users = newUsers()
    const before = await modules.lastChange('billing')
    await Promise.all(users.map((userId) => modules.enableModule('billing', { userId, roles: [] }, NOW, [])))
    const read: string[] = []
    for (let seq = before; read.length < AT_ONCE; ) {
      const page = await modules.changesAfter('billing', seq, 7)
      expect(page.seq).toBeGreaterThanOrEqual(seq + page.choices.length)
      read.push(...page.choices.map(({ userId }) => userId))
      seq = page.seq
    }
    expect(read.toSorted()).toEqual(users.toSorted())
    expect((await modules.lastChange('billing')) - before).toBe(AT_ONCE)
  })
})

test('notices that are acknowledged at once take a few commits on PostgreSQL', async () => {
  const { commitsDuring, onPostgres: modules } = stores
  await modules.acknowledgeNotices((await modules.pendingNotices('auth', 10_000)).map(({ seq }) => seq))
  for (const user of newUsers()) await enable(modules, user, { notices: [noticeAbout(user)] })
  const pending = await modules.pendingNotices('auth', 10_000)
  expect(pending).toHaveLength(AT_ONCE)
  // Some are acknowledged twice.
  const acknowledged = [...pending.slice(1), ...pending.slice(2, 4)]
  const commits = await commitsDuring(() =>
    Promise.all(acknowledged.map(({ seq }) => modules.acknowledgeNotices([seq]))),
  )
  expect(commits).toBeLessThan(FEW_COMMITS)
  expect(await modules.pendingNotices('auth', 10_000)).toEqual(pending.slice(0, 1))
})
