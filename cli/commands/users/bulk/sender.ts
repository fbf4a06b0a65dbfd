import type { AnswerLine } from './answers.ts'
import type { Line } from './batches.ts'
import type { Status } from './counts.ts'
import type { OnConflict } from './import-options.ts'
import type { Wire } from './wire.ts'

export interface Outcome {
  status: Status
  code?: string
  message?: string
}

/** What is known of a line that is not settled. */
interface Open {
  line: Line
  at: number
  /** Whether an earlier request, whose answer was lost, may have done it. */
  doubtful: boolean
  /** Whether its email, username or id is someone's: what was asked for decides. */
  taken: boolean
  /** Whether the one who has it may be one that the lost request made. */
  perhapsOurs: boolean
  tries: number
}

/** Milliseconds before the second try; each further one waits twice as long. */
const FIRST_PAUSE = 250
const PAUSE_MAX = 2000
/** One after the other, in which nothing was answered: a quarter of a minute, in which a service has restarted. */
const FAILURES_MAX = 6
/** Of one line that is too much for a busy service, or that two requests are about at once. */
const TRIES_MAX = 30
const LINE_PAUSE = 500
const LOOK_UPS = 4

/**
 * Sends lines, as often as it takes until each is settled once. What a lost answer leaves open is asked with
 * `on_conflict=skip`, which does nothing twice: a line that is skipped for its own id was done, and one that is skipped
 * for someone else's is asked again in the way that was wanted. Where that is `update`, all are asked so at first: an
 * update takes no id but the user's, and a user who is made needs that of the record to be known by.
 */
export class Sender {
  /** Ends what waits between tries. */
  stopping = false

  constructor(
    private readonly wire: Wire,
    private readonly onConflict: OnConflict,
  ) {}

  /** The time of the service, or a little before it. */
  now(): number {
    return this.wire.now()
  }

  /**
   * @param doubtful whether an earlier run may have sent them
   * @param since what `now` said before they were first sent
   * @throws Failure when the service is away for long, or refuses the request
   */
  async send(lines: readonly Line[], doubtful: boolean, since: number): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    const ours = new Set<string>()
    let open: Open[] = lines.map((line, at) => ({ line, at, doubtful, taken: false, perhapsOurs: false, tries: 0 }))
    for (let failures = 0; open.length > 0; ) {
      const left = open.length
      const whole = await this.round(open, outcomes, ours, since)
      open = open.filter(({ at }) => outcomes[at] === undefined)
      failures = whole.answered || open.length < left ? 0 : failures + 1
      if (whole.failure && (failures > FAILURES_MAX || this.stopping)) throw whole.failure
      if (open.some(({ tries }) => tries > 0)) await Bun.sleep(LINE_PAUSE)
      else if (whole.failure) await Bun.sleep(Math.min(FIRST_PAUSE * 2 ** failures, PAUSE_MAX))
    }
    return outcomes
  }

  /** One request for those that were not asked, then one for those that turned out to be taken. */
  private async round(open: Open[], outcomes: Outcome[], ours: Set<string>, since: number) {
    const fresh = open.filter(({ taken }) => !taken)
    const careful = this.onConflict === 'update' || fresh.some(({ doubtful }) => doubtful)
    const asked = fresh.map(({ line }) => line.text)
    const first = await this.wire.send(asked, careful ? 'skip' : this.onConflict, (answer, n) => {
      const one = fresh[n] as Open
      const outcome = this.judge(one, answer, ours)
      if (outcome) outcomes[one.at] = outcome
    })
    for (const one of fresh.slice(first.count)) one.doubtful ||= first.sent
    if (first.failure) return { answered: first.count > 0, failure: first.failure }

    const taken = open.filter(({ taken, at }) => taken && outcomes[at] === undefined)
    const texts = taken.map(({ line }) => (this.onConflict === 'update' ? updateOf(line) : line.text))
    const unchanged: { one: Open; id: string }[] = []
    const second = await this.wire.send(texts, this.onConflict, (answer, n) => {
      const one = taken[n] as Open
      const { id, status } = answer
      if (status === 'unchanged' && one.doubtful && id) unchanged.push({ one, id })
      else if (answer.code === 'overloaded' && one.tries++ < TRIES_MAX) return
      else outcomes[one.at] = outcomeOf(answer)
    })
    await this.lookUp(unchanged, outcomes, since)
    for (const one of taken.slice(second.count)) {
      one.doubtful ||= second.sent
      // Whoever stood in its way may be gone, and it may have been made.
      if (this.onConflict === 'fail') one.taken = false
    }
    return { answered: second.count > 0, failure: second.failure }
  }

  /** What became of a line; undefined where that has to be asked again. */
  private judge(one: Open, answer: AnswerLine, ours: Set<string>): Outcome | undefined {
    const { line, doubtful } = one
    const again = () => one.tries++ < TRIES_MAX
    if (answer.status === 'failed') {
      const { code, message = '' } = outcomeOf(answer)
      // The request that was lost may be under way still, and have been quicker.
      const overtaken = doubtful && code === 'validation_failed' && message.startsWith('id is that of another user')
      return (code === 'overloaded' || overtaken) && again() ? undefined : outcomeOf(answer)
    }
    if (answer.status !== 'skipped') return outcomeOf(answer)
    if (answer.id === undefined && doubtful && again()) return undefined
    const own = answer.id === line.id
    if (own && line.derived) return { status: 'created' }
    if (own && doubtful && this.onConflict !== 'update' && !ours.has(line.id)) {
      ours.add(line.id)
      return { status: 'created' }
    }
    if (this.onConflict === 'skip') return { status: 'skipped' }
    one.taken = true
    one.perhapsOurs = own && doubtful
    return undefined
  }

  /** Whether those that an update finds as they should be were made so by the request whose answer was lost. */
  private async lookUp(unchanged: { one: Open; id: string }[], outcomes: Outcome[], since: number): Promise<void> {
    const left = unchanged.values()
    const worker = async () => {
      for (const { one, id } of left) {
        const updatedAt = await this.wire.updatedAt(id)
        const given = Date.parse(String(one.line.record.user.updated_at))
        const recent = updatedAt >= since
        const made = one.perhapsOurs && (recent || given === updatedAt)
        outcomes[one.at] = { status: made ? 'created' : recent ? 'updated' : 'unchanged' }
      }
    }
    await Promise.all(Array.from({ length: LOOK_UPS }, worker))
  }
}

/** Without the id that we gave it. */
function updateOf({ derived, record: { user }, text }: Line): string {
  if (!derived) return text
  const { id, ...rest } = user
  return JSON.stringify(rest)
}

function outcomeOf({ code, message, status }: AnswerLine): Outcome {
  if (status !== 'failed') return { status }
  return { status, code: code ?? 'failed', message: [message ?? 'It failed'].flat().join('; ') }
}
