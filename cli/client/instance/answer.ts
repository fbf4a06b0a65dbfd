import { direct } from '../../../services/kit/outgoing.ts'
import { note, plain } from '../../terminal/terminal.ts'

const PATIENCE = 2000
/** What one process calls itself that runs several services. */
export const WHOLE = 'ch202'

/** What a service says of itself. */
export interface Answer {
  /** 0: nothing answered. */
  status: number
  body: Record<string, unknown>
  /** The time that the service read, in milliseconds since the epoch, to the second. */
  date: number | undefined
  /** Milliseconds. */
  took: number
  /** Why nothing answered. */
  failure?: string
}

/** Whether it is that service, alone or in one process with the others. */
export function isOf(service: string, answer: Answer | undefined): boolean {
  return answer?.status === 200 && (answer.body.service === service || answer.body.service === WHOLE)
}

/** One request that needs no key, without a second try: what is asked is how the service does now. */
export async function ask(url: string, debug = false): Promise<Answer> {
  const began = performance.now()
  const took = () => Math.round((performance.now() - began) * 10) / 10
  try {
    const response = await direct(url, { signal: AbortSignal.timeout(PATIENCE), redirect: 'manual' })
    const body: unknown = await response.json().catch(() => ({}))
    if (debug) note(plain(`GET ${url} → ${response.status} in ${took()} ms`))
    const isRecord = typeof body === 'object' && body !== null
    return {
      status: response.status,
      body: isRecord ? (body as Record<string, unknown>) : {},
      date: Date.parse(response.headers.get('date') ?? '') || undefined,
      took: took(),
    }
  } catch (error) {
    const late = (error as Error).name === 'TimeoutError'
    if (debug) note(plain(`GET ${url} → ${(error as { code?: string }).code ?? (error as Error).name}`))
    const failure = late ? `no answer within ${PATIENCE / 1000} s` : 'nothing answers there'
    return { status: 0, body: {}, date: undefined, took: took(), failure }
  }
}
