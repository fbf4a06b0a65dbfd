import type { Log } from '../../kit/log.ts'
import type { Nodes } from '../../kit/nodes/nodes.ts'
import { withTimeout } from '../../kit/timeout.ts'
import type { AuditStore } from '../store/index.ts'

/** Milliseconds between two looks for rows that are not in the chain of the audit. */
const LOOK_EVERY = 50
/** The lease of the node that chains the rows of all. */
const LEASE = 'chain of the audit'

interface AuditChainingOptions {
  store: Pick<AuditStore, 'chainAudit'>
  nodes: Nodes
  log: Log
}

/**
 * Puts rows of the audit into its chain, where several nodes may run: one of them does it for all. Two that do it at once,
 * when one stood still, write the same chain. Readers do it too, and do not wait for this node.
 */
export class AuditChaining {
  private isRunning = false
  private isFailing = false
  private loop: Promise<void> = Promise.resolve()
  private readonly stopping = Promise.withResolvers<void>()

  constructor(private readonly options: AuditChainingOptions) {}

  /** Starts to chain, as soon as no other node does. */
  start(): void {
    const { nodes } = this.options
    if (!nodes.isShared) return
    this.isRunning = true
    this.loop = this.run()
  }

  /** Chains what is left, so that a stopped installation has one complete chain, and leaves the rest to the other nodes. */
  async stop(): Promise<void> {
    if (!this.isRunning) return
    this.isRunning = false
    this.stopping.resolve()
    await this.loop
    await this.chain()
    await this.options.nodes.release(LEASE)
  }

  private async run(): Promise<void> {
    const { nodes } = this.options
    await nodes.claim(LEASE)
    while (this.isRunning) {
      if (nodes.holds(LEASE)) await this.chain()
      await withTimeout(this.stopping.promise, LOOK_EVERY)
    }
  }

  /** Chains once. While that fails, the first failure is logged: others follow many times a second. */
  private async chain(): Promise<void> {
    try {
      await this.options.store.chainAudit()
      this.isFailing = false
    } catch (error) {
      if (!this.isFailing) this.options.log.error({ event: 'audit.not_chained', err: error })
      this.isFailing = true
    }
  }
}
