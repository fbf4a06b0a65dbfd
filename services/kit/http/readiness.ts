import { SharedRuns } from '../feed/shared-runs.ts'
import type { Nodes } from '../nodes/nodes.ts'
import { Problem, type ProblemCode } from '../problem.ts'
import { withTimeout } from '../timeout.ts'

interface ReadinessOptions {
  /** The code of the answer while the service starts or stops. */
  unavailable: ProblemCode
  /** Writes a row and reads it back. @throws when the database fails */
  probe(): Promise<void>
  /** The nodes that share the database. Absent: this one is alone. */
  nodes?: Pick<Nodes, 'isSure'>
  /** The lease on the revocation feed, and the code of the answer without it. Absent: the service publishes the feed alone. */
  lease?: { readonly holder: { readonly hasLease: boolean }; readonly code: ProblemCode } | undefined
}

/** Milliseconds that a check waits for the database. Balancers give up after a second or two. */
const PROBE_TIMEOUT = 800

/** Whether this node of a service should get requests, for `GET /health/ready`. */
export class Readiness {
  private isRunning = false
  /** Several balancers that ask at once share a write. */
  private readonly probes: SharedRuns<true>

  constructor(private readonly options: ReadinessOptions) {
    this.probes = new SharedRuns(async (): Promise<true> => {
      await options.probe()
      return true
    })
  }

  /** To be called when the service has started. */
  begin(): void {
    this.isRunning = true
  }

  /** To be called when the service begins to stop. */
  end(): void {
    this.isRunning = false
  }

  /**
   * Resolves if this node should get requests.
   * @throws Problem with a status of 503 while it starts or stops, has no lease, or its database does not answer
   */
  async assert(): Promise<void> {
    const { lease, nodes, unavailable } = this.options
    if (!this.isRunning) throw new Problem(unavailable)
    // Known without a question: the database has not answered this node for a while, or another node removed it.
    if (nodes && !nodes.isSure()) throw new Problem('database_unavailable')
    try {
      const hasAnswered = await withTimeout(this.probes.run(), PROBE_TIMEOUT)
      if (!hasAnswered) throw new Problem('database_unavailable')
    } catch (cause) {
      throw cause instanceof Problem ? cause : new Problem('database_unavailable', { cause })
    }
    if (lease && !lease.holder.hasLease) throw new Problem(lease.code)
  }
}
