import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { type FeedPage, FeedSubscriber } from '../feed/subscriber.ts'
import type { Log } from '../log.ts'
import { Problem } from '../problem.ts'
import type { Access } from './access.ts'

/** What modules tells a follower of one module: how it stands, and what was chosen about it after `after`. */
export interface ModulePage extends FeedPage {
  /** Nothing that was told before counts any more. */
  reset: boolean
  /** Null where there is no such module. */
  module: { default: boolean; roles: string[] } | null
  /** What is chosen for a user now; null where nothing is, any more. */
  choices: { user: string; enabled: boolean | null }[]
}

/** The two questions that a gate asks of modules. */
export interface ModuleFeedSource {
  poll(module: string, follower: string, after: number, epoch: string): Promise<ModulePage>
  /** The ids of the modules that a user may use. @throws anything when that can't be said */
  modulesOf(userId: string, requestId: string): Promise<readonly string[]>
}

interface ModuleGateOptions {
  /** A name that tells this run of this service from all others. */
  name: string
  source: ModuleFeedSource
  clock: Clock
  log: Log
  /** As `Following` has it. */
  startupGrace?: number
}

type User = Pick<Caller, 'roles' | 'requestId'> & { userId: string }

/**
 * Whether a user may use one module. While the lease of its feed runs, that is decided here; without a lease modules is
 * asked about each request; with modules away, what is known to be off stays off and no one else is let in.
 */
export class ModuleGate {
  private readonly feed: FeedSubscriber<ModulePage>
  private module: ModulePage['module'] = null
  private readonly choices = new Map<string, boolean>()
  /** Whether all there is was told since the last time that nothing counted any more. */
  private hasSnapshot = false

  constructor(
    readonly id: string,
    private readonly options: ModuleGateOptions,
  ) {
    const { clock, startupGrace: comingUp, log, name, source } = options
    this.feed = new FeedSubscriber({
      poll: (after, epoch) => source.poll(id, name, after, epoch),
      apply: (page) => this.take(page),
      clock,
      log,
      target: `modules/${id}`,
      startupGrace: comingUp,
    })
  }

  /** Resolves when all there is was told, or after `patience` milliseconds without. */
  start(patience: number): Promise<void> {
    return this.feed.start(patience)
  }

  stop(): Promise<void> {
    return this.feed.stop()
  }

  /**
   * Lets a caller pass who may use the module. An operator's key and the internal key act for no user, and pass. An
   * administrator's token acts for its user: it passes without the module only where the route lets operators in.
   * @throws Problem `module_not_available`; `modules_unavailable` when nothing can be said about the user
   */
  admit(caller: Caller, access: Access): void | Promise<void> {
    const { requestId, roles, userId } = caller
    if (userId === null || (caller.operator && access.includes('operator'))) return
    const admitted = this.isAdmitted({ userId, roles, requestId })
    if (admitted instanceof Promise) return admitted.then(requireAdmitted)
    requireAdmitted(admitted)
  }

  private isAdmitted(user: User): boolean | Promise<boolean> {
    return this.hasSnapshot && this.feed.hasLease ? this.isEnabledFor(user) : this.ask(user)
  }

  /** As it was told. The roles of a token are those of its user: it ends when they change. */
  private isEnabledFor({ roles, userId }: User): boolean {
    if (!this.module) return false
    if (!(this.choices.get(userId) ?? this.module.default)) return false
    return this.module.roles.every((role) => roles.includes(role))
  }

  private async ask(user: User): Promise<boolean> {
    const usable = await this.feed.tryAsk(() => this.options.source.modulesOf(user.userId, user.requestId))
    if (usable) return usable.includes(this.id)
    if (this.hasSnapshot && !this.isEnabledFor(user)) return false
    throw new Problem('modules_unavailable')
  }

  private take({ choices, complete, module, reset }: ModulePage): void {
    if (reset) {
      // Also the right to decide by what was told, until all of it was told anew.
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

function requireAdmitted(admitted: boolean): void {
  if (!admitted) throw new Problem('module_not_available', { message: 'The module is not on for the user' })
}

/** The gates of a service: one for each module that a route of it names. */
export class ModuleGates {
  private readonly gates = new Map<string, ModuleGate>()
  private running = false

  constructor(private readonly options: ModuleGateOptions) {}

  /** The gate of a module. One that is asked for after the start begins to follow at once. */
  of(module: string): ModuleGate {
    let gate = this.gates.get(module)
    if (!gate) {
      gate = new ModuleGate(module, this.options)
      this.gates.set(module, gate)
      if (this.running) void gate.start(0)
    }
    return gate
  }

  /** Resolves when each has heard all there is, or after `patience` milliseconds without. */
  async start(patience: number): Promise<void> {
    this.running = true
    await Promise.all([...this.gates.values()].map((gate) => gate.start(patience)))
  }

  async stop(): Promise<void> {
    this.running = false
    await Promise.all([...this.gates.values()].map((gate) => gate.stop()))
  }
}
