import type { ChainLink } from '../../../db/schema/audit-chain.ts'
import { ChainCheck, type ChainReport } from '../../../db/schema/audit-check.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import { Progress } from '../../terminal/progress.ts'
import type { Tool } from '../../tool/command.ts'
import { Input } from '../users/import/input.ts'
import { brokenChain, chainPages, firstInChain } from './chain-pages.ts'
import { ExportCheck } from './export-check.ts'
import { exportedRows } from './exported-file.ts'
import { chainedRow, linkOfRow } from './exported-row.ts'

export interface VerifyOptions {
  /** The head of the chain at an earlier time, or its beginning. */
  head?: string
  filtered?: boolean
}

/** Fewer characters of a hash could be found by trying. */
const HEAD_LEAST = 16

/** Verifies the chain of the audit: of the installation, or of an exported file. @throws Failure that names the break */
export async function verifyAudit(tool: Tool, options: VerifyOptions, file?: string): Promise<void> {
  const { head } = options
  if (head !== undefined && !new RegExp(`^[0-9a-f]{${HEAD_LEAST},64}$`).test(head))
    throw usage(`--head takes ${HEAD_LEAST} to 64 characters of a hash, as ch202 audit verify prints it`)
  if (file === undefined && options.filtered) throw usage('--filtered requires a file')
  const recorded = new RecordedHead(head)
  const progress = new Progress('rows', tool.globals.quiet)
  try {
    const record = await (file === undefined
      ? verifyInstallation(tool, recorded, progress)
      : verifyFile(file, options, recorded, progress))
    recorded.assertFound()
    progress.clear()
    await tool.out.record({ ok: true, ...record })
  } finally {
    progress.clear()
  }
}

async function verifyInstallation(tool: Tool, recorded: RecordedHead, progress: Progress) {
  for (;;) {
    const { erased = 0, fault, first, head, rows } = await readChain(tool, recorded, progress)
    if (fault === undefined) return { rows, head, erased }
    // Between two pages, AUDIT_RETENTION removes rows that were not read yet.
    if (first === (await firstInChain(tool))) throw brokenChain(fault, 'ch202 backup verify')
  }
}

/** Reads the chain up to its end, or to its first break. @returns the report, with the number of the first row */
async function readChain(
  tool: Tool,
  recorded: RecordedHead,
  progress: Progress,
): Promise<ChainReport & { first: number | undefined }> {
  const check = new ChainCheck()
  let newest: ChainLink | null = null
  let first: number | undefined
  let count = 0
  for await (const page of chainPages(tool)) {
    newest = page.head
    for (const row of page.rows) {
      first ??= row.seq
      const report = check.add(chainedRow(row))
      if (report) return { ...report, first }
      recorded.compare(linkOfRow(row).hash)
    }
    count += page.rows.length
    progress.update(count)
  }
  return { ...check.end(newest ?? undefined), first }
}

async function verifyFile(name: string, options: VerifyOptions, recorded: RecordedHead, progress: Progress) {
  const { filtered = false } = options
  const check = new ExportCheck(filtered)
  const input = new Input(name)
  for await (const row of exportedRows(input)) {
    const fault = check.add(row)
    if (fault !== undefined) throw brokenChain(fault, filtered ? undefined : 'ch202 audit verify --filtered <file>')
    recorded.compare(row.hash)
    progress.update(check.rows, input.part === undefined ? {} : { part: input.part })
  }
  // An export that failed writes no row, and a pipe hides its exit status.
  if (check.rows === 0) throw emptyExport(filtered)
  const { erasedRows, first, gaps, isFromBeginning, last, rows } = check
  return {
    rows,
    head: last?.hash ?? null,
    from: first?.at ?? null,
    to: last?.at ?? null,
    from_beginning: isFromBeginning,
    erased: erasedRows,
    ...(filtered ? { gaps } : {}),
  }
}

function emptyExport(filtered: boolean): Failure {
  const cause = filtered ? 'the export failed, or its filters select none' : 'the export failed'
  return new Failure(EXIT.checkFailed, `The input has no row of the audit: ${cause}`, { code: 'empty_export' })
}

/** Looks for a head that was recorded earlier: whoever rewrites a chain gets another one. */
class RecordedHead {
  private isFound = false

  constructor(private readonly head: string | undefined) {}

  compare(hash: string): void {
    if (this.head !== undefined && hash.startsWith(this.head)) this.isFound = true
  }

  /** @throws Failure if no row has the head */
  assertFound(): void {
    if (this.head === undefined || this.isFound) return
    throw brokenChain(`No row has the hash ${this.head}: it was removed, or the rows up to it were rewritten`)
  }
}
