import type { ChainLink } from '../../../db/schema/audit-chain.ts'
import { EXIT, Failure } from '../../exit.ts'
import type { Tool } from '../../tool/command.ts'
import { type PageQuery, pages } from '../../tool/lists.ts'
import type { ChainRow } from './exported-row.ts'

/** Selects rows of the chain. */
export interface ChainFilter {
  user_id?: string
  type?: string
  since?: string
  until?: string
}

/**
 * Yields the rows of the chain in its order, a page at a time, with the head at the moment of each page.
 * @throws Failure if a page cannot be read
 */
export async function* chainPages(
  tool: Tool,
  filter: ChainFilter = {},
): AsyncGenerator<{ rows: ChainRow[]; head: ChainLink | null }> {
  const api = await tool.api()
  let head: ChainLink | null = null
  const fetchPage = async (part: PageQuery) => {
    const page = await api.auth((auth) => auth.admin.audit.chain.get({ query: { ...filter, ...part } }))
    head = page.head
    return { ...page, total: null }
  }
  for await (const { items } of pages(fetchPage)) yield { rows: items as unknown as ChainRow[], head }
}

/** Returns the number of the first row of the chain, which changes while AUDIT_RETENTION removes rows; undefined without a row. */
export async function firstInChain(tool: Tool): Promise<number | undefined> {
  const api = await tool.api()
  const { items } = await api.auth((auth) => auth.admin.audit.chain.get({ query: { size: '1' } }))
  return items[0]?.seq
}

/** The failure of a chain that is broken. @param fault a sentence about the first break */
export function brokenChain(fault: string, suggestion?: string): Failure {
  return new Failure(EXIT.checkFailed, fault, { code: 'audit_broken', ...(suggestion && { suggestion }) })
}
