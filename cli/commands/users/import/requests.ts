import type { Api } from '../../../client/api.ts'
import { EXIT, Failure } from '../../../exit.ts'
import type { OnConflict } from './options.ts'
import { type ResultLine, resultLines } from './response.ts'

const TYPE = 'application/x-ndjson'
/** Milliseconds until a response must begin. */
const TIMEOUT = 60_000
/** Statuses that are worth a retry. */
const TEMPORARY = [408, 425, 429, 500, 502, 503, 504]
/** Milliseconds by which a `Date` header may lag: it has whole seconds, and a busy service writes it late. */
const DATE_LAG = 2000

const CONNECTION_LOST = new Failure(EXIT.tryAgain, 'The connection was lost', { code: 'unreachable', retryable: true })

/** The result of a request. */
interface SendResult {
  /** Number of lines with a result, counted from the first. */
  count: number
  /** Whether lines without a result may have been imported. */
  maybeDone: boolean
  /** A temporary failure. */
  failure: Failure | undefined
}

/** Sends the requests of an import one at a time, and estimates the service's clock. */
export class ImportRequests {
  /** Lower bound, in milliseconds, for how far the service's clock is ahead of this one. */
  private clockLead = Number.NEGATIVE_INFINITY

  constructor(
    private readonly api: Api,
    private readonly onAnswered: (lines: number) => void,
  ) {}

  /** The service's time in milliseconds, never ahead of it. */
  now(): number {
    // Within the lag of the `Date` header both are treated as the same clock.
    const isSameClock = !Number.isFinite(this.clockLead) || (this.clockLead <= 0 && this.clockLead > -DATE_LAG)
    return Date.now() + (isSameClock ? 0 : this.clockLead)
  }

  /** Checks that the service responds before anything is read. @throws Failure if it does not */
  async checkReachable(): Promise<void> {
    const response = await this.api.fetch('users', '/health')
    await response.body?.cancel()
    this.readClock(response)
  }

  /** When a user was last changed, by the service's clock; -Infinity for a deleted user. @throws Failure */
  async updatedAt(id: string): Promise<number> {
    try {
      const { updated_at } = await this.api.users((users) => users.users({ user_id: id }).get())
      return Date.parse(updated_at)
    } catch (error) {
      if (error instanceof Failure && error.exit === EXIT.notFound) return Number.NEGATIVE_INFINITY
      throw error
    }
  }

  /**
   * Sends lines in one request; none if there are no lines.
   * @param onResult called with each result and the index of its line
   * @throws Failure that a retry cannot fix
   */
  async send(
    texts: string[],
    mode: OnConflict,
    onResult: (result: ResultLine, at: number) => void,
  ): Promise<SendResult> {
    let count = 0
    if (texts.length === 0) return { count, maybeDone: false, failure: undefined }
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(), TIMEOUT)
    try {
      const response = await this.api.fetch('users', `/api/v1/users/import?on_conflict=${mode}`, {
        method: 'POST',
        headers: { 'content-type': TYPE },
        body: texts.join('\n'),
        signal: stop.signal,
      })
      clearTimeout(timer)
      this.readClock(response)
      const failure = await this.problemOf(response)
      if (failure) return { count, maybeDone: response.status >= 500, failure }
      for await (const results of resultLines(response, stop)) {
        for (const answer of results) onResult(answer, count++)
        this.onAnswered(results.length)
      }
      return { count, maybeDone: true, failure: count < texts.length ? CONNECTION_LOST : undefined }
    } catch (error) {
      if (error instanceof Failure && !error.details.retryable) throw error
      return { count, maybeDone: true, failure: error instanceof Failure ? error : CONNECTION_LOST }
    } finally {
      clearTimeout(timer)
    }
  }

  /** @returns a temporary failure, or undefined for a success @throws Failure that a retry cannot fix */
  private async problemOf(response: Response): Promise<Failure | undefined> {
    try {
      await this.api.refuseProblem('users', response)
      return undefined
    } catch (error) {
      if (error instanceof Failure && TEMPORARY.includes(response.status)) return error
      throw error
    }
  }

  private readClock(response: Response): void {
    const date = Date.parse(response.headers.get('date') ?? '')
    if (!Number.isNaN(date)) this.clockLead = Math.max(this.clockLead, date - Date.now())
  }
}
