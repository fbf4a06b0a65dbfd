import { type ChainLink, describeRow, TrimmedBeginning } from '../../../db/schema/audit-chain.ts'
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

  private faultAt(row: ExportedRow): string | undefined {
    const described = describeRow(chainedRow(row))
    if (linkOfRow(row).hash !== row.hash) return `${capital(described)} was altered: it does not have its hash`
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
