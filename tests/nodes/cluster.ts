import { systemClock } from '../../services/kit/clock.ts'
import { silentLog } from '../../services/kit/log.ts'
import { type NodeStore, Nodes } from '../../services/kit/nodes/nodes.ts'

/** A node of a test: its store, through which it can be stopped in the middle of anything. */
export interface TestNode<Store> {
  name: string
  store: Store
  nodes: Nodes
  /** Resolves when the node is not frozen. A sender that a test injects awaits it, as a process that is frozen would. */
  running(): Promise<void>
  /** Stops everything that the node does, where it is: for good, when nothing calls `thaw`. */
  freeze(): void
  thaw(): void
  isFrozen(): boolean
}

const IN_MEMORY: readonly (string | symbol)[] = ['onClientLogouts', 'onDeliveries', 'subscribedTypes']

/**
 * Makes a node on a store. The methods of the store neither begin nor return while the node is frozen, as in a process that
 * got SIGSTOP; a node that is frozen for good is one that got SIGKILL.
 */
export async function testNode<Store extends NodeStore & object>(
  name: string,
  opened: Store,
): Promise<TestNode<Store>> {
  let frozen: PromiseWithResolvers<void> | undefined
  const running = async () => {
    while (frozen) await frozen.promise
  }
  const store = new Proxy(opened, {
    get(target, key) {
      const value = Reflect.get(target, key) as unknown
      if (typeof value !== 'function' || IN_MEMORY.includes(key)) return value
      return async (...values: unknown[]) => {
        await running()
        try {
          return await (value as (...values: unknown[]) => Promise<unknown>).apply(target, values)
        } finally {
          await running()
        }
      }
    },
  })
  const description = { process: '', address: '', version: '' }
  const nodes = new Nodes({ store, description, clock: systemClock, log: silentLog })
  return {
    name,
    store,
    nodes,
    running,
    freeze: () => {
      frozen ??= Promise.withResolvers()
    },
    thaw: () => {
      frozen?.resolve()
      frozen = undefined
    },
    isFrozen: () => frozen !== undefined,
  }
}

/** Records what a receiver got, and compares it with what was written. */
export class Receiver {
  private readonly received = new Map<string, number[]>()
  private readonly written = new Map<string, number>()

  /** @returns the next number of a subject, which is written now */
  next(subject: string): number {
    const number = (this.written.get(subject) ?? 0) + 1
    this.written.set(subject, number)
    return number
  }

  receive(subject: string, number: number): void {
    const numbers = this.received.get(subject) ?? []
    numbers.push(number)
    this.received.set(subject, numbers)
  }

  /** How many notices are missing, came before an older one for the first time, and came again. */
  faults(): { missing: number; disordered: number; repeated: number } {
    let [missing, disordered, repeated] = [0, 0, 0]
    for (const [subject, last] of this.written) {
      const seen = new Set<number>()
      for (const number of this.received.get(subject) ?? []) {
        if (seen.has(number)) repeated++
        else if (number < Math.max(0, ...seen)) disordered++
        seen.add(number)
      }
      missing += last - seen.size
    }
    return { missing, disordered, repeated }
  }

  /** How many notices were written and not received. */
  get pending(): number {
    return this.faults().missing
  }

  get count(): number {
    return [...this.received.values()].reduce((sum, { length }) => sum + length, 0)
  }
}
