import { hash } from 'node:crypto'
import { USER_ERASED } from '../../services/kit/outbox/audit.ts'
import { type ChainedRow, digestOf, hexOf, isSalt, linkOf } from './audit-chain.ts'

/** The detail of a row whose detail was erased. */
export const ERASED_DETAIL = '{"erased":true}'

/** The parts of a row that can be erased. */
interface Parts {
  /** The ip and the request id. */
  origin: boolean
  detail: boolean
}

/** The columns that an erasure writes into a row. Seals and hashes are in hex. */
export interface ErasedColumns {
  ip: unknown
  requestId: unknown
  detail: string
  originSeal: string | null
  detailSeal: string | null
  rowHash: string | null
}

/** Erases parts of a row. A row without seals loses its origin in any case. @returns null when they are erased already */
export function erase(row: ChainedRow, parts: Parts): ErasedColumns | null {
  const before = erasedIn(row)
  const [ip, requestId, stored] = row.slice(6)
  const [originSeal, detailSeal] = row.slice(10)
  const hasSeals = originSeal instanceof Uint8Array && detailSeal instanceof Uint8Array
  const origin = (parts.origin || !hasSeals) && !before.origin
  const detail = parts.detail && !before.detail
  if (!(parts.origin || parts.detail) || !(origin || detail)) return null
  const columns = {
    ...(origin ? { ip: null, requestId: null } : { ip, requestId }),
    detail: detail ? ERASED_DETAIL : String(stored),
  }
  if (!hasSeals) return { ...columns, originSeal: null, detailSeal: null, rowHash: linkOf(row).hash }
  return {
    ...columns,
    originSeal: origin ? digestOf(originSeal, [ip, requestId]) : hexOf(originSeal),
    detailSeal: detail ? digestOf(detailSeal, stored) : hexOf(detailSeal),
    rowHash: null,
  }
}

/** The type of the row that records what is left of rows without seals of which parts are erased: `[number, digest]` each. */
export const REMAINS = 'erasure.remains'

/** The digest of what is left of a row without seals, which its own hash does not cover any more. */
export function digestOfRemains(
  row: ChainedRow,
  { detail, rowHash }: { detail: unknown; rowHash: string | null },
): string {
  return hash('sha256', JSON.stringify([...row.slice(0, 6), detail, rowHash]))
}

/** The parts of a row that were erased. */
function erasedIn(row: ChainedRow): Parts {
  const [originSeal, detailSeal, rowHash] = row.slice(10)
  if (rowHash instanceof Uint8Array) return { origin: true, detail: row[8] === ERASED_DETAIL }
  const isErased = (seal: unknown) => seal instanceof Uint8Array && !isSalt(seal)
  return { origin: isErased(originSeal), detail: isErased(detailSeal) }
}

/** Failed logins under a name that nobody had: rows about no user that can be erased. */
const WITHOUT_USER: readonly unknown[] = ['login.failed', 'login.paused']

/**
 * The rows of which parts were erased. Another row of the chain records the erasure of the user whom such a row is about, or
 * who made it, and a later one records what is left of a row without seals.
 */
export class ErasedRows {
  count = 0
  private readonly users = new Set<unknown>()
  /** By the users of whom one must have been erased. */
  private readonly waiting = new Map<string, { row: ChainedRow; users: unknown[] }>()
  /** Rows without seals whose remains no row has recorded yet, by their number, with their digest. */
  private readonly unrecorded = new Map<unknown, { row: ChainedRow; digest: string }>()

  /** Reads the next row of the chain. @returns whether it has what its hash does not cover */
  add(row: ChainedRow): 'sound' | 'unsound' {
    const [seq, , , type, userId, actor, ip, requestId, detail] = row
    const rowHash = row[12]
    if (type === USER_ERASED && userId !== null) this.users.add(userId)
    if (type === REMAINS) this.record(detail)
    const erased = erasedIn(row)
    if (!erased.origin && !erased.detail) return 'sound'
    this.count++
    if ((erased.origin && (ip !== null || requestId !== null)) || (erased.detail && detail !== ERASED_DETAIL))
      return 'unsound'
    if (rowHash instanceof Uint8Array)
      this.unrecorded.set(seq, { row, digest: digestOfRemains(row, { detail, rowHash: hexOf(rowHash) }) })
    if (userId === null && WITHOUT_USER.includes(type)) return 'sound'
    const by = /^user:(.+)$/.exec(String(actor))?.[1]
    // Of what someone did to others, only where they were is theirs.
    const users = (erased.detail ? [userId] : [userId, by]).filter((id) => id != null)
    if (users.length === 0) return 'unsound'
    if (!this.waiting.has(users.join())) this.waiting.set(users.join(), { row, users })
    return 'sound'
  }

  /**
   * Gives the first row that was erased although no row records it.
   * @param since milliseconds since the epoch: what recorded the erasure of earlier rows may have been removed
   */
  unexplained(since: number): ChainedRow | undefined {
    const [unrecorded] = this.unrecorded.values()
    const isExplained = (users: unknown[]) => users.some((id) => this.users.has(id))
    return (
      unrecorded?.row ??
      [...this.waiting.values()].find(({ row, users }) => row[2] >= since && !isExplained(users))?.row
    )
  }

  private record(detail: unknown): void {
    for (const [seq, digest] of remainsIn(detail))
      if (this.unrecorded.get(seq)?.digest === digest) this.unrecorded.delete(seq)
  }
}

function remainsIn(detail: unknown): [unknown, unknown][] {
  try {
    const { rows } = JSON.parse(String(detail))
    return Array.isArray(rows) ? rows.filter((row) => Array.isArray(row) && row.length === 2) : []
  } catch {
    return []
  }
}
