import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import type {
  Dependency,
  Module,
  ModuleNews,
  ModulesStore,
  Switched,
  UserModule,
} from '../../services/modules/store.ts'
import { WHOLE } from '../support/whole.ts'

const ANA = '0198c0de-0000-7000-8000-00000000000a'
const BEN = '0198c0de-0000-7000-8000-00000000000b'
const NOW = 1_800_000_000_000

const notice = (kind: string): NewNotice => ({ target: 'auth', kind, subject: ANA, payload: { kind } })

const moduleOf = (id: string, fields: Partial<Module> = {}): Module => ({
  id,
  name: id.toUpperCase(),
  description: '',
  version: '1.0.0',
  requiredRoles: [],
  requires: [],
  defaultEnabled: false,
  createdAt: NOW - 1000,
  ...fields,
})

/**
 * Tests that every store of the modules service must pass.
 * @param open opens an empty store
 * @param options.runs sequences of random steps to try
 */
export function modulesStoreSuite(
  open: () => Promise<ModulesStore>,
  { runs = WHOLE ? 150 : 40 }: { runs?: number } = {},
): void {
  let store: ModulesStore
  beforeEach(async () => {
    store = await open()
  })
  afterEach(() => store.close())

  const add = async (...modules: Module[]) => {
    for (const module of modules) expect(await store.addModule(module, [])).toEqual({ outcome: 'added' })
  }
  const enable = (id: string, userId = ANA, now = NOW) =>
    store.enableModule(id, { userId, roles: [] }, now, [notice('on')])
  const disable = (id: string, userId = ANA) => store.disableModule(id, userId, [notice('off')])
  const enabledFor = async (userId = ANA) => enabledIds(await store.modulesOf(userId))
  const notices = async () => (await store.pendingNotices('auth', 100)).map(({ kind }) => kind)

  describe('the library', () => {
    test('returns modules as they were added, in the order of ids', async () => {
      const core = moduleOf('core', { description: 'é\n', requiredRoles: ['B', 'A'], defaultEnabled: true })
      const billing = moduleOf('billing', { requires: ['core', 'audit'], version: '2' })
      await add(core, moduleOf('audit'), billing)
      expect(await store.listModules()).toEqual([moduleOf('audit'), billing, core])
      expect(await store.moduleById('core')).toEqual(core)
      expect(await store.moduleById('gone')).toBeNull()
    })

    test('takes an id once, even when many requests try at once', async () => {
      const tries = Array.from({ length: 8 }, (_, i) =>
        store.addModule(moduleOf('core', { name: `${i}` }), [notice('added')]),
      )
      const outcomes = (await Promise.all(tries)).map(({ outcome }) => outcome)
      expect(outcomes.filter((outcome) => outcome === 'added')).toHaveLength(1)
      expect(await notices()).toEqual(['added'])
    })

    test('refuses a module that does not fit, and writes nothing', async () => {
      await add(moduleOf('a'), moduleOf('b', { requires: ['a'] }), moduleOf('c', { requires: ['b'] }))
      const before = await store.listModules()
      const unsent = [notice('unsent')]
      expect(await store.addModule(moduleOf('x', { requires: ['a', 'y', 'z'] }), unsent)).toEqual({
        outcome: 'unknown_requirement',
        modules: ['y', 'z'],
      })
      expect(await store.addModule(moduleOf('x', { requires: ['x'] }), unsent)).toEqual({
        outcome: 'cycle',
        modules: ['x'],
      })
      expect(await store.addModule(moduleOf('x', { requires: ['a'], defaultEnabled: true }), unsent)).toEqual({
        outcome: 'requirement_not_default',
        modules: ['a'],
      })
      expect(await store.changeModule('a', { requires: ['c'] }, unsent)).toEqual({
        outcome: 'cycle',
        modules: ['c', 'b', 'a'],
      })
      expect(await store.changeModule('c', { defaultEnabled: true }, unsent)).toMatchObject({
        outcome: 'requirement_not_default',
      })
      expect(await store.changeModule('gone', { name: 'x' }, unsent)).toEqual({ outcome: 'module_not_found' })
      expect(await store.removeModule('b', unsent)).toEqual({ outcome: 'required', modules: ['c'] })
      expect(await store.removeModule('gone', unsent)).toEqual({ outcome: 'module_not_found' })
      expect(await store.listModules()).toEqual(before)
      expect(await notices()).toEqual([])
    })

    test('refuses the second of two concurrent changes that would make a cycle', async () => {
      await add(moduleOf('a'), moduleOf('b'))
      const outcomes = await Promise.all([
        store.changeModule('a', { requires: ['b'] }, []),
        store.changeModule('b', { requires: ['a'] }, []),
      ])
      // Which of the two comes first is the database's choice.
      expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['changed', 'cycle'])
    })

    test('changes the given fields and keeps the others', async () => {
      await add(moduleOf('a'), moduleOf('b', { requiredRoles: ['X'] }))
      const module = moduleOf('b', { requiredRoles: ['X'], requires: ['a'], name: 'New' })
      const changed = await store.changeModule('b', { requires: ['a'], name: 'New' }, [notice('changed')])
      expect(changed).toEqual({ outcome: 'changed', module })
      expect(await store.moduleById('b')).toEqual(module)
      expect(await notices()).toEqual(['changed'])
    })

    test('removes a module with all choices about it', async () => {
      await add(moduleOf('a', { defaultEnabled: true }))
      await disable('a')
      await enable('a', BEN)
      expect(await store.removeModule('a', [])).toEqual({ outcome: 'removed' })
      expect(await store.usersOf('a', { size: 10, page: 1 })).toBeNull()
      await add(moduleOf('a', { defaultEnabled: true }))
      expect(await enabledFor()).toEqual(['a'])
      expect(await store.usersOf('a', { size: 10, page: 1 })).toMatchObject({ total: 0 })
    })
  })

  describe('the modules of a user', () => {
    test('are enabled once; enabling them again changes nothing and sends no notice', async () => {
      await add(moduleOf('a'))
      const state = { module: moduleOf('a'), enabledAt: NOW, chosen: true }
      expect(await enable('a')).toEqual({ outcome: 'switched', state })
      expect(await enable('a', ANA, NOW + 5)).toEqual({ outcome: 'switched', state })
      expect(await store.moduleOf(ANA, 'a')).toEqual(state)
      expect(await store.moduleOf(BEN, 'a')).toEqual({ module: moduleOf('a'), enabledAt: null, chosen: false })
      expect(await store.moduleOf(ANA, 'gone')).toBeNull()
      expect(await notices()).toEqual(['on'])
      const off = { outcome: 'switched', state: { ...state, enabledAt: null } } as const
      expect(await disable('a')).toEqual(off)
      expect(await disable('a')).toEqual(off)
      expect(await notices()).toEqual(['on', 'off'])
      expect(await enable('a', ANA, NOW + 9)).toMatchObject({ state: { enabledAt: NOW + 9 } })
    })

    test('follow the default until the user chooses; a choice outlives the default', async () => {
      const core = moduleOf('core', { defaultEnabled: true })
      await add(core)
      expect(await store.modulesOf(ANA)).toEqual([{ module: core, enabledAt: core.createdAt, chosen: false }])
      expect(await enable('core')).toMatchObject({ state: { enabledAt: core.createdAt, chosen: true } })
      expect(await notices()).toEqual([])
      await store.changeModule('core', { defaultEnabled: false }, [])
      expect([await enabledFor(ANA), await enabledFor(BEN)]).toEqual([['core'], []])
      await disable('core', BEN)
      await store.changeModule('core', { defaultEnabled: true }, [])
      expect([await enabledFor(ANA), await enabledFor(BEN)]).toEqual([['core'], []])
    })

    test('need the roles, the requirements and an existing user', async () => {
      await add(moduleOf('a'), moduleOf('b', { requires: ['a'] }), moduleOf('c', { requiredRoles: ['X', 'Y'] }))
      const refused: [Switched, Switched][] = [
        [await enable('gone'), { outcome: 'module_not_found' }],
        [await disable('gone'), { outcome: 'module_not_found' }],
        [await enable('b'), { outcome: 'requirement_off', modules: ['a'] }],
        [await store.enableModule('c', { userId: ANA, roles: ['X'] }, NOW, []), { outcome: 'module_not_available' }],
      ]
      for (const [outcome, expected] of refused) expect(outcome).toEqual(expected)
      expect(await store.enableModule('c', { userId: ANA, roles: ['Y', 'X'] }, NOW, [])).toMatchObject({
        outcome: 'switched',
      })
      await enable('a')
      await enable('b')
      expect(await disable('a')).toEqual({ outcome: 'required', modules: ['b'] })
      expect(await disable('c')).toMatchObject({ outcome: 'switched' })
      expect(await enabledFor()).toEqual(['a', 'b'])
    })

    test('do not allow a new requirement that a user has disabled; the change is rolled back', async () => {
      await add(moduleOf('a'), moduleOf('b'), moduleOf('core', { defaultEnabled: true }))
      await enable('b')
      const before = await store.listModules()
      const lacking = { outcome: 'requirement_off', modules: ['a'] } satisfies Dependency
      expect(await store.changeModule('b', { requires: ['a'], name: 'New' }, [notice('changed')])).toEqual(lacking)
      expect(await store.changeModule('b', { requires: ['core'] }, [])).toMatchObject({ outcome: 'changed' })
      await store.changeModule('b', { requires: [] }, [])
      await disable('core')
      expect(await store.changeModule('b', { requires: ['core'] }, [])).toMatchObject({ outcome: 'requirement_off' })
      expect(await store.listModules()).toEqual(before)
      expect(await notices()).not.toContain('changed')
      await enable('a')
      expect(await store.changeModule('b', { requires: ['a'] }, [])).toMatchObject({ outcome: 'changed' })
    })

    test('do not allow a new requirement of a default that a user has disabled', async () => {
      await add(moduleOf('a', { defaultEnabled: true }), moduleOf('b', { defaultEnabled: true }))
      await disable('a')
      expect(await store.changeModule('b', { requires: ['a'] }, [])).toMatchObject({ outcome: 'requirement_off' })
      await disable('b')
      expect(await store.changeModule('b', { requires: ['a'] }, [])).toMatchObject({ outcome: 'changed' })
    })

    test('are not enabled by a new default for users who disabled its requirement', async () => {
      await add(moduleOf('a', { defaultEnabled: true }), moduleOf('b', { requires: ['a'] }))
      await disable('a')
      await add(moduleOf('c', { requires: ['a'], defaultEnabled: true }))
      await store.changeModule('b', { defaultEnabled: true }, [])
      expect([await enabledFor(ANA), await enabledFor(BEN)]).toEqual([[], ['a', 'b', 'c']])
      expect(await disable('a', BEN)).toEqual({ outcome: 'required', modules: ['b', 'c'] })
    })

    test('stay enabled when a default ends, for users who enabled a module that requires them', async () => {
      await add(moduleOf('a', { defaultEnabled: true }), moduleOf('b', { requires: ['a'] }))
      await enable('b')
      expect(await store.changeModule('a', { defaultEnabled: false }, [])).toMatchObject({ outcome: 'changed' })
      expect([await enabledFor(ANA), await enabledFor(BEN)]).toEqual([['a', 'b'], []])
      expect(await store.moduleOf(ANA, 'a')).toMatchObject({ enabledAt: NOW - 1000 })
    })

    test('keep a default that another default requires', async () => {
      await add(moduleOf('a', { defaultEnabled: true }), moduleOf('b', { requires: ['a'], defaultEnabled: true }))
      const refused = { outcome: 'required', modules: ['b'] } satisfies Dependency
      expect(await store.changeModule('a', { defaultEnabled: false, name: 'New' }, [])).toEqual(refused)
      expect(await store.moduleById('a')).toMatchObject({ name: 'A', defaultEnabled: true })
    })

    test('are removed with the user, and late requests are refused', async () => {
      await add(moduleOf('a'), moduleOf('b'))
      await enable('a')
      await enable('a', BEN)
      const [, simultaneous] = await Promise.all([store.removeUser(ANA), enable('b')])
      // Whichever came first on PostgreSQL, nothing is left.
      expect(['user_not_found', 'switched']).toContain(simultaneous.outcome)
      expect(await enabledFor(ANA)).toEqual([])
      await store.removeUser(ANA)
      expect(await enable('a')).toEqual({ outcome: 'user_not_found' })
      expect(await disable('a')).toEqual({ outcome: 'user_not_found' })
      expect([await enabledFor(ANA), await enabledFor(BEN)]).toEqual([[], ['a']])
      expect(await store.usersOf('a', { size: 10, page: 1 })).toMatchObject({ rows: [{ userId: BEN }], total: 1 })
    })

    test('stay consistent when a module is disabled while a dependent is enabled', async () => {
      await add(moduleOf('a'), moduleOf('b', { requires: ['a'] }))
      for (let round = 0; round < 50; round++) {
        await enable('a')
        const race = round % 2 ? [enable('b'), disable('a')] : [disable('a'), enable('b')]
        const outcomes = (await Promise.all(race)).map(({ outcome }) => outcome === 'switched')
        expect(outcomes.filter(Boolean)).toHaveLength(1)
        const isEnablingFirst = outcomes[round % 2 ? 0 : 1]
        expect(await enabledFor()).toEqual(isEnablingFirst ? ['a', 'b'] : [])
        await disable('b')
      }
    })
  })

  describe('the users of a module', () => {
    test('are listed by cursor, each once, while others come and go', async () => {
      await add(moduleOf('a'))
      const users = Array.from({ length: 7 }, (_, i) => ANA.replace(/a$/, String(i)))
      for (const user of users) await enable('a', user)
      await disable('a', users[3])
      const first = await store.usersOf('a', { size: 3, page: 1 })
      expect(first).toMatchObject({ total: 6, rows: [0, 1, 2].map((i) => ({ userId: users[i], enabledAt: NOW })) })
      await store.removeUser(users[2] ?? '')
      const second = await store.usersOf('a', { size: 3, after: first?.next ?? [] })
      expect(second).toMatchObject({ total: null, next: null, rows: [4, 5, 6].map((i) => ({ userId: users[i] })) })
      expect(await store.usersOf('a', { size: 3, page: 2 })).toMatchObject({
        rows: [5, 6].map((i) => ({ userId: users[i] })),
      })
      expect(await store.usersOf('gone', { size: 3, page: 1 })).toBeNull()
    })
  })

  describe('the feed of a module', () => {
    type Step = [name: string, change: () => Promise<unknown>, choices: Record<string, boolean | null>, begins?: true]
    const after = (seq: number) => store.changesAfter('a', seq, 100)
    const choicesIn = ({ choices }: ModuleNews) =>
      Object.fromEntries(choices.map(({ enabled, userId }) => [userId, enabled]))

    test('has an entry for each change, and none when nothing changed', async () => {
      const add = (id: string, fields: Partial<Module> = {}) => store.addModule(moduleOf(id, fields), [])
      const change = (changes: Partial<Module>, id = 'a') => store.changeModule(id, changes, [])
      const steps: Step[] = [
        ['added', () => add('a'), {}, true],
        ['on', () => enable('a'), { [ANA]: true }],
        ['off', () => disable('a'), { [ANA]: false }],
        ['on for another', () => enable('a', BEN), { [BEN]: true }],
        ['by default', () => change({ defaultEnabled: true }), {}],
        ['roles', () => change({ requiredRoles: ['X'] }), {}],
        ['gone', () => store.removeUser(BEN), { [BEN]: null }],
        ['deleted', () => store.removeModule('a', []), {}, true],
        ['added again', () => add('a', { defaultEnabled: true }), {}, true],
        ['off by default', () => change({ defaultEnabled: false }), {}],
      ]
      expect(await store.lastChange('a')).toBe(0)
      expect(await after(0)).toEqual({ module: null, begun: 0, choices: [], seq: 0 })
      for (const [name, make, expected, begins] of steps) {
        const before = await store.lastChange('a')
        await make()
        const now = await store.lastChange('a')
        const news = await after(before)
        expect([name, now > before, news.begun > before, choicesIn(news)]).toEqual([
          name,
          true,
          begins ?? false,
          expected,
        ])
        expect(news.module).toEqual(await store.moduleById('a'))
        expect(await after(now)).toMatchObject({ choices: [], seq: now })
      }
      const last = await store.lastChange('a')
      const unrelated = [
        () => disable('gone'),
        () => change({ name: 'New', version: '9' }),
        () => change({ requires: ['gone'] }),
        () => store.removeUser(BEN),
        () => add('b'),
        () => enable('b'),
      ]
      for (const make of unrelated) await make()
      expect(await store.lastChange('a')).toBe(last)
      expect(choicesIn(await after(0))).toEqual({})
    })

    test('has the choices that a change of the default made for many users', async () => {
      await add(moduleOf('b', { defaultEnabled: true }), moduleOf('a', { requires: ['b'] }))
      await disable('b')
      await disable('b', BEN)
      const before = await store.lastChange('a')
      await store.changeModule('a', { defaultEnabled: true }, [])
      expect(choicesIn(await after(before))).toEqual({ [ANA]: false, [BEN]: false })
    })

    test('is read in pages, each choice once, in the order of the last changes', async () => {
      await add(moduleOf('a'))
      const users = Array.from({ length: 7 }, (_, i) => ANA.replace(/a$/, String(i)))
      for (const user of users) await enable('a', user)
      const first = await store.changesAfter('a', 0, 3)
      expect(Object.keys(choicesIn(first))).toEqual(users.slice(0, 3))
      await disable('a', users[0])
      const second = await store.changesAfter('a', first.seq, 100)
      expect(choicesIn(second)).toEqual({
        ...Object.fromEntries(users.slice(3).map((user) => [user, true])),
        [users[0] ?? '']: false,
      })
      expect(second.seq).toBe(await store.lastChange('a'))
    })
  })

  test('an enabled module never requires a disabled one', async () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd')
    const requires = fc.uniqueArray(id, { maxLength: 2 })
    const user = fc.constantFrom(ANA, BEN)
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), id, requires, defaultEnabled: fc.boolean() }),
      fc.record(
        { do: fc.constant('change' as const), id, requires, defaultEnabled: fc.boolean() },
        { requiredKeys: ['do', 'id'] },
      ),
      fc.record({ do: fc.constant('remove' as const), id }),
      fc.record({ do: fc.constantFrom('enable' as const, 'disable' as const), id, user }),
      fc.record({ do: fc.constantFrom('enable' as const, 'disable' as const), id, user }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        await store.close()
        store = await open()
        for (const { do: action, id, ...rest } of steps) {
          const before = await Promise.all([store.modulesOf(ANA), store.modulesOf(BEN)])
          const outcome = await perform(action, id, rest)
          const after = await Promise.all([store.modulesOf(ANA), store.modulesOf(BEN)])
          for (const states of after) expect(inconsistent(states)).toEqual([])
          const isSuccess = ['added', 'changed', 'removed', 'switched'].includes(outcome)
          if (!isSuccess) expect(after).toEqual(before)
        }
      }),
      { numRuns: runs },
    )

    interface Fields {
      requires?: string[]
      defaultEnabled?: boolean
      user?: string
    }
    async function perform(action: string, id: string, { user = ANA, ...fields }: Fields): Promise<string> {
      if (action === 'add') return (await store.addModule(moduleOf(id, fields), [])).outcome
      if (action === 'change') return (await store.changeModule(id, fields, [])).outcome
      if (action === 'remove') return (await store.removeModule(id, [])).outcome
      return (action === 'enable' ? await enable(id, user) : await disable(id, user)).outcome
    }
  }, 60_000)

  test('keeps notices until they are acknowledged, and answers a probe', async () => {
    await store.addModule(moduleOf('a'), [notice('one'), notice('two')])
    const [first] = await store.pendingNotices('auth', 10)
    expect(first).toMatchObject({ kind: 'one', payload: { kind: 'one' } })
    await store.acknowledgeNotices([first?.seq ?? 0])
    expect([await notices(), (await store.waitingNotices('auth')).count]).toEqual([['two'], 1])
    await store.probe()
  })
}

function enabledIds(states: UserModule[]): string[] {
  return states.filter(({ enabledAt }) => enabledAt !== null).map(({ module }) => module.id)
}

/** The enabled modules with a requirement that is disabled. */
function inconsistent(states: UserModule[]): string[] {
  const enabled = enabledIds(states)
  return states
    .filter(({ module }) => enabled.includes(module.id) && !module.requires.every((id) => enabled.includes(id)))
    .map(({ module }) => module.id)
}
