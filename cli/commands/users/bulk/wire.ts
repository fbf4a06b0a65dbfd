import type { Api } from '../../../client/api.ts'
import { EXIT, Failure } from '../../../exit.ts'
import { type AnswerLine, answerLines } from './answers.ts'
import type { OnConflict } from './import-options.ts'

const TYPE = 'application/x-ndjson'
/** Milliseconds until an answer must begin. */
const PATIENCE = 60_000
/** Statuses that may pass. */
const PASSING = [408, 425, 429, 500, 502, 503, 504]
/** A `Date` is cut to its second, and a busy service writes it late. */
const DATE_LAGS = 2000

const CUT = new Failure(EXIT.tryAgain, 'The connection broke off', { code: 'unreachable', retryable: true })

/** What came of a request. */
interface Sent {
  /** How many lines were answered, from the first on. */
  count: number
  /** Whether some may have been done that were not answered. */
  sent: boolean
  /** One that may pass. */
  failure: Failure | undefined
}

/** The requests of an import, one at a time, and the clock of the service that answers them. */
export class Wire {
  /** By how much that clock is ahead, in milliseconds, at least. */
  private ahead = Number.NEGATIVE_INFINITY

  constructor(
    private readonly api: Api,
    private readonly answered: (lines: number) => void,
  ) {}

  /** The time of the service, or a little before it. */
  now(): number {
    // Where it may be the same clock, it is taken for that.
    const same = !Number.isFinite(this.ahead) || (this.ahead <= 0 && this.ahead > -DATE_LAGS)
    return Date.now() + (same ? 0 : this.ahead)
  }

  /** Whether anyone is there, before anything is read. @throws Failure */
  async greet(): Promise<void> {
    const response = await this.api.fetch('users', '/health')
    await response.body?.cancel()
    this.synchronise(response)
  }

  /** When a user was changed last, by the clock of the service; never, for one who is gone. @throws Failure */
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
   * @param take is given each answer, with the place of its line
   * @throws Failure for one that will not pass
   */
  async send(texts: string[], mode: OnConflict, take: (answer: AnswerLine, at: number) => void): Promise<Sent> {
    let count = 0
    if (texts.length === 0) return { count, sent: false, failure: undefined }
    const stop = new AbortController()
    const unreached = setTimeout(() => stop.abort(), PATIENCE)
    try {
      const response = await this.api.fetch('users', `/api/v1/users/import?on_conflict=${mode}`, {
        method: 'POST',
        headers: { 'content-type': TYPE },
        body: texts.join('\n'),
        signal: stop.signal,
      })
      clearTimeout(unreached)
      this.synchronise(response)
      const failure = await this.problemOf(response)
      if (failure) return { count, sent: response.status >= 500, failure }
      for await (const answers of answerLines(response, stop)) {
        for (const answer of answers) take(answer, count++)
        this.answered(answers.length)
      }
      if (count < texts.length) throw new Error('cut')
      return { count, sent: true, failure: undefined }
    } catch (error) {
      if (error instanceof Failure && !error.said.retryable) throw error
      return { count, sent: true, failure: error instanceof Failure ? error : CUT }
    } finally {
      clearTimeout(unreached)
    }
  }

  /** @throws Failure for a problem that will not pass by itself */
  private async problemOf(response: Response): Promise<Failure | undefined> {
    try {
      await this.api.refuseProblem('users', response)
      return undefined
    } catch (error) {
      if (error instanceof Failure && PASSING.includes(response.status)) return error
      throw error
    }
  }

  private synchronise(response: Response): void {
    const date = Date.parse(response.headers.get('date') ?? '')
    if (!Number.isNaN(date)) this.ahead = Math.max(this.ahead, date - Date.now())
  }
}
