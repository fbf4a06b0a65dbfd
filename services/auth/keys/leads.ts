import type { Clock } from '../../kit/clock.ts'
import type { Config } from '../../kit/process/config.ts'
import { TOKEN_ALGS, type TokenAlg } from '../../kit/tokens/algorithms.ts'
import type { StoredKey } from '../store/index.ts'
import type { KeyRing } from './ring.ts'
import { remainingLead } from './schedule.ts'

interface Lead {
  kid: string
  isOver: boolean
  timer: ReturnType<typeof setInterval> | undefined
}

/**
 * The leads of the pending keys, one of each algorithm. They end by timers rather than by comparing times, because the wall
 * clock may be set meanwhile. The timers are intervals because those are what the tests can drive.
 */
export class Leads {
  private readonly leads = new Map<TokenAlg, Lead>()

  /** @param onEnd called when a lead has passed */
  constructor(
    private readonly context: {
      clock: Clock
      config: Pick<Config, 'signingKeyLead'>
      keyRing: Pick<KeyRing, 'pending'>
    },
    private readonly onEnd: () => void,
  ) {}

  /** Whether the pending key of an algorithm may sign. */
  isOver(alg: TokenAlg): boolean {
    return this.leads.get(alg)?.isOver === true
  }

  /** Begins the lead of a pending key. @param ms milliseconds; by default all of it */
  start({ alg, kid }: StoredKey, ms = this.context.config.signingKeyLead): void {
    this.end(alg)
    const lead: Lead = { kid, isOver: ms <= 0, timer: undefined }
    this.leads.set(alg, lead)
    if (lead.isOver) return
    lead.timer = setInterval(() => {
      clearInterval(lead.timer)
      lead.isOver = true
      this.onEnd()
    }, ms)
  }

  /** Forgets the lead of an algorithm. */
  end(alg: TokenAlg): void {
    clearInterval(this.leads.get(alg)?.timer)
    this.leads.delete(alg)
  }

  endAll(): void {
    for (const alg of this.leads.keys()) this.end(alg)
  }

  /** Continues the leads of keys that were published before this start, or by another node. */
  resume(): void {
    const { clock, config, keyRing } = this.context
    for (const alg of TOKEN_ALGS) {
      const pending = keyRing.pending(alg)
      if (!pending) this.end(alg)
      else if (pending.kid !== this.leads.get(alg)?.kid)
        this.start(pending, remainingLead(pending, clock.now(), config.signingKeyLead))
    }
  }
}
