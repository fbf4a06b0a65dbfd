import type { Database } from 'bun:sqlite'
import { CHAIN_HEAD, parseHead } from '../schema/audit-chain.ts'
import { ChainCheck, type ChainReport } from '../schema/audit-check.ts'
import { auditRows } from './migrations/chain-audit.ts'

/**
 * Checks every link of the audit's chain in one transaction, so that others may write meanwhile.
 * @throws SQLite's error when the file has no audit
 */
export function examineChain(raw: Database): ChainReport {
  raw.run('BEGIN')
  try {
    return walkChain(raw)
  } finally {
    if (raw.inTransaction) raw.run('COMMIT')
  }
}

function walkChain(raw: Database): ChainReport {
  const head = raw.query<{ value: string }, [string]>('SELECT value FROM facts WHERE name = ?').get(CHAIN_HEAD)
  const check = new ChainCheck(parseHead(head?.value))
  for (const row of auditRows(raw)) {
    const report = check.add(row)
    if (report) return report
  }
  return check.end()
}
