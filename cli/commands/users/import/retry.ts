import type { Line } from './batches.ts'
import type { OnConflict } from './options.ts'
import type { ImportRequests } from './requests.ts'
import type { ResultLine, Status } from './response.ts'

/** The final result of one line; `message` only for a failed one. */
export interface Outcome {
  status: Status
  /** The user, unless the line failed. */
  id?: string | undefined
  code?: string
  message?: string
}

/** A line without an outcome yet. */
interface PendingLine {
  line: Line
  /** Index of the line in the batch. */
  at: number
  /** Whether an earlier request without a response may have imported the line. */
  doubtful: boolean
  /** Whether another user has the email, username or id: `on_conflict` decides. */
  isConflict: boolean
  /** Whether that other user may have been created by the request without a response. */
  maybeOurs: boolean
  /** Number of times that the line was sent again because the service asked for it. */
  tries: number
}

/** Milliseconds before the second try; each further pause is twice as long. */
const FIRST_PAUSE = 250
const PAUSE_MAX = 2000
/** Requests in a row without any result before giving up: 15 seconds, in which a service can restart. */
const FAILURES_MAX = 6
/** Tries of one line that the service is too busy for, or that two requests contend for. */
const TRIES_MAX = 30
/** Milliseconds before the next try of such a line. */
const LINE_PAUSE = 500
const LOOKUPS_AT_ONCE = 4

/**
 * Sends lines until each has exactly one outcome. After a lost response, lines are sent again with `on_conflict=skip`,
 * which changes nothing the second time: a line that is skipped because of its own id was imported before; a line that is
 * skipped because of another user is then sent with the mode that the operator chose. For `update`, every line is sent
 * with `skip` first: an update ignores the id in a record, and a created user needs that id to be recognized.
 */
export class RetryingSender {
  /** Set to give up at the next failure instead of retrying. */
  stopping = false

  constructor(
    private readonly requests: ImportRequests,
    private readonly onConflict: OnConflict,
  ) {}

  /** The service's time in milliseconds, never ahead of it. */
  now(): number {
    return this.requests.now()
  }

  /**
   * Sends the lines of a batch.
   * @param doubtful whether an earlier run may have sent these lines
   * @param since the service's time before the lines were first sent, in milliseconds
   * @returns the outcome of each line, in the order of `lines`
   * @throws Failure if the service stays unreachable or refuses the request
   */
  async send(lines: readonly Line[], doubtful: boolean, since: number): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    const createdIds = new Set<string>()
    let pending: PendingLine[] = lines.map((line, at) => ({
      line,
      at,
      doubtful,
      isConflict: false,
      maybeOurs: false,
      tries: 0,
    }))
    for (let failures = 0; pending.length > 0; ) {
      const before = pending.length
      const round = await this.round(pending, outcomes, createdIds, since)
      pending = pending.filter(({ at }) => outcomes[at] === undefined)
      failures = round.answered || pending.length < before ? 0 : failures + 1
      if (round.failure && (failures > FAILURES_MAX || this.stopping)) throw round.failure
      if (pending.some(({ tries }) => tries > 0)) await Bun.sleep(LINE_PAUSE)
      else if (round.failure) await Bun.sleep(Math.min(FIRST_PAUSE * 2 ** failures, PAUSE_MAX))
    }
    return outcomes
  }

  /** Sends one request for the lines without a conflict so far, then one for those with a conflict. */
  private async round(pending: PendingLine[], outcomes: Outcome[], createdIds: Set<string>, since: number) {
    const fresh = pending.filter(({ isConflict }) => !isConflict)
    const skipFirst = this.onConflict === 'update' || fresh.some(({ doubtful }) => doubtful)
    const freshTexts = fresh.map(({ line }) => line.text)
    const first = await this.requests.send(freshTexts, skipFirst ? 'skip' : this.onConflict, (result, n) => {
      const one = fresh[n] as PendingLine
      const outcome = this.judge(one, result, createdIds)
      if (outcome) outcomes[one.at] = outcome
    })
    for (const one of fresh.slice(first.count)) one.doubtful ||= first.maybeDone
    if (first.failure) return { answered: first.count > 0, failure: first.failure }

    const conflicts = pending.filter(({ isConflict, at }) => isConflict && outcomes[at] === undefined)
    const texts = conflicts.map(({ line }) => (this.onConflict === 'update' ? updateOf(line) : line.text))
    const unchanged: { one: PendingLine; id: string }[] = []
    const second = await this.requests.send(texts, this.onConflict, (result, n) => {
      const one = conflicts[n] as PendingLine
      const { id, status } = result
      if (status === 'unchanged' && one.doubtful && id) unchanged.push({ one, id })
      else if (result.code === 'overloaded' && countTry(one)) return
      else outcomes[one.at] = outcomeOf(result)
    })
    await this.lookUp(unchanged, outcomes, since)
    for (const one of conflicts.slice(second.count)) {
      one.doubtful ||= second.maybeDone
      // The other user may be gone by now, and the line imported.
      if (this.onConflict === 'fail') one.isConflict = false
    }
    return { answered: second.count > 0, failure: second.failure }
  }

  /** Decides the outcome of a line; undefined if the line must be sent again. */
  private judge(one: PendingLine, result: ResultLine, createdIds: Set<string>): Outcome | undefined {
    const { line, doubtful } = one
    if (result.status === 'failed') {
      const { code, message = '' } = outcomeOf(result)
      // The earlier request without a response may still run, and create the user first.
      const overtaken = doubtful && code === 'validation_failed' && message.startsWith('id is that of another user')
      return (code === 'overloaded' || overtaken) && countTry(one) ? undefined : outcomeOf(result)
    }
    if (result.status !== 'skipped') return outcomeOf(result)
    if (result.id === undefined && doubtful && countTry(one)) return undefined
    const isOwnId = result.id === line.id
    if (isOwnId && line.derived) return { status: 'created', id: line.id }
    if (isOwnId && doubtful && this.onConflict !== 'update' && !createdIds.has(line.id)) {
      createdIds.add(line.id)
      return { status: 'created', id: line.id }
    }
    if (this.onConflict === 'skip') return { status: 'skipped' }
    one.isConflict = true
    one.maybeOurs = isOwnId && doubtful
    return undefined
  }

  /** Finds out whether the request without a response created or updated users that are unchanged now. */
  private async lookUp(
    unchanged: { one: PendingLine; id: string }[],
    outcomes: Outcome[],
    since: number,
  ): Promise<void> {
    const queue = unchanged.values()
    const worker = async () => {
      for (const { one, id } of queue) {
        const updatedAt = await this.requests.updatedAt(id)
        const recordTime = Date.parse(String(one.line.record.user.updated_at))
        const isRecent = updatedAt >= since
        const wasCreated = one.maybeOurs && (isRecent || recordTime === updatedAt)
        outcomes[one.at] = { status: wasCreated ? 'created' : isRecent ? 'updated' : 'unchanged', id }
      }
    }
    await Promise.all(Array.from({ length: LOOKUPS_AT_ONCE }, worker))
  }
}

/** Counts a try of a line that must be sent again. @returns false if the line may not be sent again */
function countTry(one: PendingLine): boolean {
  return one.tries++ < TRIES_MAX
}

/** The line without the id that this tool derived for it. */
function updateOf({ derived, record: { user }, text }: Line): string {
  if (!derived) return text
  const { id, ...rest } = user
  return JSON.stringify(rest)
}

function outcomeOf({ code, id, message, status }: ResultLine): Outcome {
  if (status !== 'failed') return { status, id }
  return { status, code: code ?? 'failed', message: [message ?? 'Failed'].flat().join('; ') }
}
