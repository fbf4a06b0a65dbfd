import { type ChainLink, describeRow } from '../../../db/schema/audit-chain.ts'
import { TrimmedBeginning } from '../../../db/schema/audit-check.ts'
import { ErasedRows } from '../../../db/schema/audit-erasure.ts'
import { chainedRow, type ExportedRow, linkOfRow } from './exported-row.ts'

/** Checks the rows of an exported file, without the installation that it is from. */
export class ExportCheck {
  rows = 0
  /** Places where rows are left out, in an export with filters. */
  gaps = 0
  first: ExportedRow | undefined
  last: ExportedRow | undefined
  private link: ChainLink | undefined
  private readonly beginning = new TrimmedBeginning()
  private readonly erased = new ErasedRows()

  /** @param isFiltered whether rows may be left out */
  constructor(private readonly isFiltered: boolean) {}

  /** Checks the next row. @returns a sentence about what is wrong with it; undefined when it is intact */
  add(row: ExportedRow): string | undefined {
    const fault = this.faultAt(row)
    if (fault !== undefined) return fault
    this.first ??= row
    this.beginning.add(chainedRow(row))
    this.link = linkOfRow(row)
    this.last = row
    this.rows++
    return undefined
  }

  /** Whether the first row is the first of the chain, or the first that AUDIT_RETENTION has left. */
  get isFromBeginning(): boolean {
    return this.rows > 0 && this.beginning.isExplained
  }

  /** How many rows have parts that were erased. */
  get erasedRows(): number {
    return this.erased.count
  }

  private faultAt(row: ExportedRow): string | undefined {
    const described = describeRow(chainedRow(row))
    if (linkOfRow(row).hash !== row.hash) return `${capital(described)} was altered: it does not have its hash`
    if (this.erased.add(chainedRow(row)) === 'unsound')
      return `The chain does not cover ${described}: a part of it was erased, and then altered`
    const { link } = this
    if (!link) return undefined
    if (row.seq <= link.seq) return `${capital(described)} is not in its place: the rows before it come later`
    if (row.prev_hash === link.hash) return undefined
    if (this.isFiltered && row.seq > link.seq + 1) {
      this.gaps++
      return undefined
    }
    return `The chain breaks at ${described}: rows before it are missing, or were altered or inserted`
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
