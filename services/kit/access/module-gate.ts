import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { type FeedPage, FeedSubscriber } from '../feed/subscriber.ts'
import type { Log } from '../log.ts'
import { Problem } from '../problem.ts'

/** A page of one module's feed: the module, and the choices of users that changed since the last page. */
export interface ModulePage extends FeedPage {
  /** Whether the subscriber must forget earlier pages. */
  reset: boolean
  /** Null when the module does not exist. */
  module: { default: boolean; roles: string[] } | null
  /** The current choice of a user; null when the user has none any more. */
  choices: { user: string; enabled: boolean | null }[]
}

/** The two calls that a gate makes to modules. */
export interface ModuleFeedSource {
  poll(module: string, subscriber: string, after: number, epoch: string): Promise<ModulePage>
  /** The ids of the modules that a user may use. @throws any error when modules cannot be reached */
  modulesOf(userId: string, requestId: string): Promise<readonly string[]>
}

interface ModuleGateOptions {
  /** Identifies this run of this service. */
  name: string
  source: ModuleFeedSource
  clock: Clock
  log: Log
  /** See `FeedSubscriberOptions`. */
  startupGrace?: number
}

type User = Pick<Caller, 'roles' | 'requestId'> & { userId: string }

/**
 * Decides whether a user may use one module. While the lease of the feed runs, it decides by itself; without a lease it
 * asks modules about each request; when modules cannot be reached, nobody is admitted.
 */
export class ModuleGate {
  private readonly feed: FeedSubscriber<ModulePage>
  private module: ModulePage['module'] = null
  private readonly choices = new Map<string, boolean>()
  /** True once a complete snapshot was received since the last reset. */
  private hasSnapshot = false

  constructor(
    readonly id: string,
    private readonly options: ModuleGateOptions,
  ) {
    const { clock, log, name, source, startupGrace } = options
    this.feed = new FeedSubscriber({
      poll: (after, epoch) => source.poll(id, name, after, epoch),
      apply: (page) => this.apply(page),
      clock,
      log,
      target: `modules/${id}`,
      startupGrace,
    })
  }

  /** Starts to poll. Resolves after the first snapshot, or after `patience` milliseconds. */
  start(patience: number): Promise<void> {
    return this.feed.start(patience)
  }

  stop(): Promise<void> {
    return this.feed.stop()
  }

  /**
   * Admits a caller who may use the module. The operator key, the internal key and clients are no users, and are admitted.
   * The token of an administrator belongs to a user: without the module it is admitted only if the route allows operators.
   * @throws Problem `module_not_available`; `modules_unavailable` when modules cannot be reached
   */
  admit(caller: Caller, access: readonly string[]): void | Promise<void> {
    const { requestId, roles, userId } = caller
    if (userId === null || (caller.operator && access.includes('operator'))) return
    const decision = this.isAdmitted({ userId, roles, requestId })
    if (decision instanceof Promise) return decision.then(requireAdmitted)
    requireAdmitted(decision)
  }

  private isAdmitted(user: User): boolean | Promise<boolean> {
    return this.hasSnapshot && this.feed.hasLease ? this.isEnabledFor(user) : this.askModules(user)
  }

  /** Decides by the last pages. The roles of a token are those of its user: a token ends when the roles change. */
  private isEnabledFor({ roles, userId }: User): boolean {
    if (!this.module) return false
    if (!(this.choices.get(userId) ?? this.module.default)) return false
    return this.module.roles.every((role) => roles.includes(role))
  }

  private async askModules(user: User): Promise<boolean> {
    const modules = await this.feed.tryAsk(() => this.options.source.modulesOf(user.userId, user.requestId))
    if (modules) return modules.includes(this.id)
    if (this.hasSnapshot && !this.isEnabledFor(user)) return false
    throw new Problem('modules_unavailable')
  }

  private apply({ choices, complete, module, reset }: ModulePage): void {
    if (reset) {
      // The gate must not decide by itself before the next complete snapshot.
      this.hasSnapshot = false
      this.choices.clear()
    }
    this.module = module
    for (const { enabled, user } of choices)
      if (enabled === null) this.choices.delete(user)
      else this.choices.set(user, enabled)
    if (complete) this.hasSnapshot = true
  }
}

function requireAdmitted(isAdmitted: boolean): void {
  if (!isAdmitted) throw new Problem('module_not_available', { message: 'The module is not enabled for the user' })
}

/** The gates of a service: one for each module that one of its routes names. */
export class ModuleGates {
  private readonly gates = new Map<string, ModuleGate>()
  private running = false

  constructor(private readonly options: ModuleGateOptions) {}

  /** The gate of a module. A gate that is created after the start subscribes at once. */
  of(module: string): ModuleGate {
    let gate = this.gates.get(module)
    if (!gate) {
      gate = new ModuleGate(module, this.options)
      this.gates.set(module, gate)
      if (this.running) void gate.start(0)
    }
    return gate
  }

  /** Resolves when each gate has its first snapshot, or after `patience` milliseconds. */
  async start(patience: number): Promise<void> {
    this.running = true
    await Promise.all([...this.gates.values()].map((gate) => gate.start(patience)))
  }

  async stop(): Promise<void> {
    this.running = false
    await Promise.all([...this.gates.values()].map((gate) => gate.stop()))
  }
}
