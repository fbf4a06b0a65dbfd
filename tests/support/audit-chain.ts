import { type ChainRow, chainedRow } from '../../cli/commands/audit/exported-row.ts'
import { ChainCheck, type ChainReport } from '../../db/schema/audit-check.ts'
import { as, call } from './http.ts'
import type { System } from './system.ts'

/** Reads the chain of the audit as an operator does, and checks it. */
export async function readChain({ url }: Pick<System, 'url'>): Promise<{ rows: ChainRow[]; report: ChainReport }> {
  const rows: ChainRow[] = []
  for (let cursor = ''; ; ) {
    const request = `GET /api/v1/admin/audit/chain?size=200${cursor && `&cursor=${cursor}`}`
    const { body } = await call(url.auth, request, { headers: as.operator })
    rows.push(...body.items)
    if (body.next_cursor !== null) {
      cursor = body.next_cursor
      continue
    }
    const check = new ChainCheck()
    for (const row of rows) {
      const report = check.add(chainedRow(row))
      if (report) return { rows, report }
    }
    return { rows, report: check.end(body.head ?? undefined) }
  }
}
