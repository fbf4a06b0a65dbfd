import { callDirectly } from '../../../services/kit/outgoing.ts'
import { note, plain } from '../../terminal/terminal.ts'

const TIMEOUT = 2000
/** Name of a process that runs several services. */
export const COMBINED_APP = 'ch202'

/** A service's response to a probe. */
export interface ProbeResult {
  /** HTTP status; 0 without a response. */
  status: number
  body: Record<string, unknown>
  /** The service's time in milliseconds since the epoch, with a resolution of one second. */
  date: number | undefined
  /** Response time in milliseconds. */
  latencyMs: number
  /** Why there is no response. */
  failure?: string
}

/** Whether the response comes from this service, alone or in one process with others. */
export function isService(service: string, answer: ProbeResult | undefined): boolean {
  return answer?.status === 200 && (answer.body.service === service || answer.body.service === COMBINED_APP)
}

/** Sends one request without a credential and without retries: the state right now is what matters. */
export async function probe(url: string, debug = false): Promise<ProbeResult> {
  const startedAt = performance.now()
  const elapsed = () => Math.round((performance.now() - startedAt) * 10) / 10
  try {
    const response = await callDirectly(url, { signal: AbortSignal.timeout(TIMEOUT), redirect: 'manual' })
    const body: unknown = await response.json().catch(() => ({}))
    if (debug) note(plain(`GET ${url} → ${response.status} in ${elapsed()} ms`))
    const isRecord = typeof body === 'object' && body !== null
    return {
      status: response.status,
      body: isRecord ? (body as Record<string, unknown>) : {},
      date: Date.parse(response.headers.get('date') ?? '') || undefined,
      latencyMs: elapsed(),
    }
  } catch (error) {
    const isTimeout = (error as Error).name === 'TimeoutError'
    if (debug) note(plain(`GET ${url} → ${(error as { code?: string }).code ?? (error as Error).name}`))
    const failure = isTimeout ? `no answer within ${TIMEOUT / 1000} s` : 'nothing is listening there'
    return { status: 0, body: {}, date: undefined, latencyMs: elapsed(), failure }
  }
}
