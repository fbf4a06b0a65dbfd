import { describe, expect, test } from 'bun:test'
import { decideDisabling, decideEnabling, misfitOf, planChange, stateOf } from './dependencies.ts'
import type { Module } from './store.ts'

const moduleOf = (id: string, changes: Partial<Module> = {}): Module => ({
  id,
  name: id,
  description: '',
  version: '1',
  requiredRoles: [],
  requires: [],
  defaultEnabled: false,
  createdAt: 7,
  ...changes,
})

const base = moduleOf('base', { defaultEnabled: true })
const reports = moduleOf('reports', { requires: ['base'] })
const charts = moduleOf('charts', { requires: ['reports'], requiredRoles: ['ANALYST', 'USER'] })
const library = [base, reports, charts]

describe('a module fits into the library', () => {
  const MODULES: [name: string, module: Module, misfit: object | undefined][] = [
    ['without requirements', moduleOf('new'), undefined],
    ['with requirements that exist', moduleOf('new', { requires: ['charts', 'base'] }), undefined],
    [
      'unless one does not exist',
      moduleOf('new', { requires: ['base', 'x', 'y'] }),
      { outcome: 'unknown_requirement', modules: ['x', 'y'] },
    ],
    ['unless it requires itself', moduleOf('new', { requires: ['new'] }), { outcome: 'cycle', modules: ['new'] }],
    [
      'unless its requirements lead back to it',
      { ...base, requires: ['charts'] },
      { outcome: 'cycle', modules: ['charts', 'reports', 'base'] },
    ],
    [
      'by default, unless a requirement is not enabled by default',
      moduleOf('new', { requires: ['base', 'reports'], defaultEnabled: true }),
      { outcome: 'requirement_not_default', modules: ['reports'] },
    ],
  ]
  test.each(MODULES)('%s', (_, module, misfit) => {
    expect(misfitOf(module, library)).toEqual(misfit as ReturnType<typeof misfitOf>)
  })

  test('even when the library is a long chain', () => {
    const chain = Array.from({ length: 20_000 }, (_, n) => moduleOf(`m${n}`, { requires: n > 0 ? [`m${n - 1}`] : [] }))
    expect(misfitOf(moduleOf('new', { requires: ['m50'] }), chain.slice(0, 100))).toBeUndefined()
    const last = chain.slice(0, 2000)
    expect(misfitOf({ ...moduleOf('m0'), requires: ['m1999'] }, last)?.outcome).toBe('cycle')
  })
})

describe('a change of a module', () => {
  test('is allowed, and adds only the requirements that are new', () => {
    expect(planChange(charts, { requires: ['reports', 'base'] }, library)).toEqual({
      outcome: 'allowed',
      module: { ...charts, requires: ['reports', 'base'] },
      becomesDefault: false,
      dependents: null,
      addedRequirements: [base],
    })
  })

  test('to enabled by default is recognised', () => {
    expect(planChange(reports, { defaultEnabled: true }, library)).toMatchObject({ becomesDefault: true })
    expect(planChange(base, { defaultEnabled: true }, library)).toMatchObject({ becomesDefault: false })
  })

  test('to disabled by default names the modules whose users keep it', () => {
    expect(planChange(base, { defaultEnabled: false }, library)).toMatchObject({ dependents: ['reports'] })
  })

  test('to disabled by default is refused while a module that is enabled by default requires it', () => {
    const enabled = [base, { ...reports, defaultEnabled: true }, charts]
    expect(planChange(base, { defaultEnabled: false }, enabled)).toEqual({ outcome: 'required', modules: ['reports'] })
  })

  test('that makes a cycle is refused', () => {
    expect(planChange(base, { requires: ['reports'] }, library)).toMatchObject({ outcome: 'cycle' })
  })
})

describe('a user', () => {
  const states = (enabled: string[]) =>
    library.map((module) => stateOf(module, { enabledAt: enabled.includes(module.id) ? 1 : null }))

  const ENABLING: [name: string, id: string, enabled: string[], roles: string[], expected: object][] = [
    ['enables a module whose requirements are enabled', 'reports', ['base'], [], { outcome: 'allowed' }],
    ['enables an enabled one again', 'base', ['base'], [], { outcome: 'allowed' }],
    ['cannot enable what does not exist', 'x', [], [], { outcome: 'module_not_found' }],
    ['needs all roles', 'charts', ['base', 'reports'], ['USER'], { outcome: 'module_not_available' }],
    ['enables it with all roles', 'charts', ['base', 'reports'], ['USER', 'ANALYST'], { outcome: 'allowed' }],
    ['needs the requirements', 'reports', [], [], { outcome: 'requirement_off', modules: ['base'] }],
  ]
  test.each(ENABLING)('%s', (_, id, enabled, roles, expected) => {
    expect(decideEnabling(states(enabled), id, roles)).toMatchObject(expected)
  })

  const DISABLING: [name: string, id: string, enabled: string[], expected: object][] = [
    ['disables a module that no other requires', 'reports', ['base', 'reports'], { outcome: 'allowed' }],
    ['disables a disabled one again', 'base', [], { outcome: 'allowed' }],
    ['cannot disable what does not exist', 'x', [], { outcome: 'module_not_found' }],
    ['must disable the dependents first', 'base', ['base', 'reports'], { outcome: 'required', modules: ['reports'] }],
  ]
  test.each(DISABLING)('%s', (_, id, enabled, expected) => {
    expect(decideDisabling(states(enabled), id)).toMatchObject(expected)
  })

  test('has the default until they choose', () => {
    expect(stateOf(base, null)).toEqual({ module: base, enabledAt: 7, chosen: false })
    expect(stateOf(reports, null)).toEqual({ module: reports, enabledAt: null, chosen: false })
    expect(stateOf(base, { enabledAt: null })).toEqual({ module: base, enabledAt: null, chosen: true })
  })
})
