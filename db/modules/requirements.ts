import type { Misfit, Module } from '../../services/modules/store.ts'

/** Why a module does not fit into the library, if it doesn't. The library may hold an older form of it. */
export function misfitOf(module: Module, library: readonly Module[]): Misfit | undefined {
  const others = new Map(library.map((other) => [other.id, other]))
  const cycle = wayTo(module.id, module.requires, others)
  if (cycle) return { outcome: 'cycle', modules: cycle }
  const unknown = module.requires.filter((id) => !others.has(id))
  if (unknown.length > 0) return { outcome: 'unknown_requirement', modules: unknown }
  const notDefault = module.requires.filter((id) => !others.get(id)?.defaultEnabled)
  if (module.defaultEnabled && notDefault.length > 0) return { outcome: 'requirement_not_default', modules: notDefault }
  return undefined
}

/** A way along requirements from one of `start` to `id`. Looks at each module once, without recursion. */
function wayTo(id: string, start: readonly string[], library: ReadonlyMap<string, Module>): string[] | undefined {
  const waysTo = new Map(start.map((first) => [first, [first]]))
  for (const [current, way] of waysTo) {
    if (current === id) return way
    for (const next of library.get(current)?.requires ?? []) if (!waysTo.has(next)) waysTo.set(next, [...way, next])
  }
  return undefined
}

/** The ids of those that require a module, out of some. */
export function requiring(id: string, modules: readonly Module[]): string[] {
  return modules.filter(({ requires }) => requires.includes(id)).map((module) => module.id)
}
