import type { Dependency, Misfit, Module, ModuleChanges, UserModule } from './store.ts'

/** Reports why a module does not fit into the library, if so. The library may hold the module before its change. */
export function misfitOf(module: Module, library: readonly Module[]): Misfit | undefined {
  const others = new Map(library.map((other) => [other.id, other]))
  const cycle = pathTo(module.id, module.requires, others)
  if (cycle) return { outcome: 'cycle', modules: cycle }
  const unknown = module.requires.filter((id) => !others.has(id))
  if (unknown.length > 0) return { outcome: 'unknown_requirement', modules: unknown }
  const notDefault = module.requires.filter((id) => !others.get(id)?.defaultEnabled)
  if (module.defaultEnabled && notDefault.length > 0) return { outcome: 'requirement_not_default', modules: notDefault }
  return undefined
}

/** Finds a path along requirements from one of `start` to `id`. It visits each module once, without recursion. */
function pathTo(id: string, start: readonly string[], library: ReadonlyMap<string, Module>): string[] | undefined {
  const paths = new Map(start.map((first) => [first, [first]]))
  for (const [current, path] of paths) {
    if (current === id) return path
    for (const next of library.get(current)?.requires ?? []) if (!paths.has(next)) paths.set(next, [...path, next])
  }
  return undefined
}

/** The ids of the modules that require `id`. */
export function requiring(id: string, modules: readonly Module[]): string[] {
  return modules.filter(({ requires }) => requires.includes(id)).map((module) => module.id)
}

export interface ChangePlan {
  outcome: 'allowed'
  /** The module after the change. */
  module: Module
  /** The module becomes enabled by default: users who disabled a requirement keep it disabled. */
  becomesDefault: boolean
  /**
   * The module is no longer enabled by default: users who enabled one of these modules, which require it, keep it
   * enabled. Null: its default stays, or becomes enabled.
   */
  dependents: string[] | null
  /** The requirements that are new: each user who has the module enabled must have these enabled too. */
  addedRequirements: Module[]
}

/** Decides whether the library allows a change of a module, and what the change means for the users' choices. */
export function planChange(
  current: Module,
  changes: ModuleChanges,
  library: readonly Module[],
): ChangePlan | Misfit | Dependency {
  const module: Module = { ...current, ...changes }
  const misfit = misfitOf(module, library)
  if (misfit) return misfit
  const losesDefault = current.defaultEnabled && !module.defaultEnabled
  const byDefault = library.filter(({ defaultEnabled }) => defaultEnabled)
  const blocking = losesDefault ? requiring(module.id, byDefault) : []
  if (blocking.length > 0) return { outcome: 'required', modules: blocking }
  return {
    outcome: 'allowed',
    module,
    becomesDefault: module.defaultEnabled && !current.defaultEnabled,
    dependents: losesDefault ? requiring(module.id, library) : null,
    addedRequirements: library.filter(({ id }) => module.requires.includes(id) && !current.requires.includes(id)),
  }
}

export type SwitchDecision =
  | { outcome: 'allowed'; state: UserModule }
  | { outcome: 'module_not_found' | 'module_not_available' }
  | Dependency

/** Decides whether a user may enable a module. @param states the whole library, as it stands for the user */
export function decideEnabling(states: readonly UserModule[], id: string, roles: readonly string[]): SwitchDecision {
  const state = states.find(({ module }) => module.id === id)
  if (!state) return { outcome: 'module_not_found' }
  const { requiredRoles, requires } = state.module
  if (!requiredRoles.every((role) => roles.includes(role))) return { outcome: 'module_not_available' }
  const disabled = states.filter(({ module, enabledAt }) => enabledAt === null && requires.includes(module.id))
  if (disabled.length > 0) return { outcome: 'requirement_off', modules: disabled.map(({ module }) => module.id) }
  return { outcome: 'allowed', state }
}

/** Decides whether a module may be disabled for a user. @param states the whole library, as it stands for the user */
export function decideDisabling(states: readonly UserModule[], id: string): SwitchDecision {
  const state = states.find(({ module }) => module.id === id)
  if (!state) return { outcome: 'module_not_found' }
  const enabled = states.filter(({ enabledAt }) => enabledAt !== null).map(({ module }) => module)
  const dependents = requiring(id, enabled)
  if (dependents.length > 0) return { outcome: 'required', modules: dependents }
  return { outcome: 'allowed', state }
}

/** Gives a module as it stands for a user. @param choice null: the user made none, so the default counts */
export function stateOf(module: Module, choice: { enabledAt: number | null } | null): UserModule {
  if (choice) return { module, enabledAt: choice.enabledAt, chosen: true }
  return { module, enabledAt: module.defaultEnabled ? module.createdAt : null, chosen: false }
}
