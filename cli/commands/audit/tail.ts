import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT } from '../../exit.ts'
import { asFailure } from '../../terminal/failures.ts'
import type { ListPage } from '../../terminal/output.ts'
import type { Row } from '../../terminal/table.ts'
import { note } from '../../terminal/terminal.ts'
import type { Tool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'

const INITIAL_ROWS = '10'
const PAGE = '200'
const POLL_MS = 1000

/** Selects rows of the audit. */
export interface AuditFilter {
  user_id?: string
  type?: string
}

/**
 * Yields the last rows and then new ones, each once and in the order they were written. Each poll asks for the rows
 * after the last one seen, so no row is missed or repeated.
 * @param signal stops following
 * @throws Failure, except while auth is unreachable, which is waited for
 */
export async function* tail(tool: Tool, filter: AuditFilter, signal: AbortSignal): AsyncGenerator<Row[]> {
  const api = await tool.api()
  const list: List = (query) => api.auth((auth) => auth.admin.audit.get({ query: { ...query } }))
  const retrying = waitForAuth(tool, signal)

  // Fetches the newest row first: if no row matches the filter yet, polling starts after that row.
  const [newest] = (await list({ size: '1' })).items
  const last = (await list({ ...filter, size: INITIAL_ROWS })).items.reverse()
  if (last.length > 0) yield last
  let after = idOf(last.at(-1) ?? newest)
  while (!signal.aborted) {
    const page = await retrying(() => rowsAfter(list, filter, after))
    if (page && page.rows.length > 0) yield page.rows
    after = page?.after ?? after
    if (page?.more !== true) await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
  }
}

type List = (query: object) => Promise<ListPage>

/** The matching rows after the last one seen, and the new last one. */
async function rowsAfter(list: List, filter: AuditFilter, after: string | undefined) {
  if (after === undefined) return await firstRows(list, filter)
  const { items, next_cursor } = await list({ ...filter, after_id: after, size: PAGE })
  return { rows: items, after: idOf(items.at(-1)) ?? after, more: next_cursor !== null }
}

/** The first rows of an audit log that was empty. */
async function firstRows(list: List, filter: AuditFilter) {
  const all: Row[] = []
  for await (const { items } of pages(list)) all.push(...items)
  const matches = (row: Row) =>
    (filter.type === undefined || row.type === filter.type) &&
    (filter.user_id === undefined || row.user_id === filter.user_id)
  const after = idOf(all[0])
  return { rows: all.reverse().filter(matches), after, more: false }
}

function idOf(row: Row | undefined): string | undefined {
  return row && String(row.id)
}

/** Wraps requests: one that fails because auth is unreachable gives undefined, which is reported once. */
function waitForAuth(tool: Tool, signal: AbortSignal) {
  let isUnreachable = false
  return async <T>(ask: () => Promise<T>): Promise<T | undefined> => {
    try {
      const answer = await ask()
      if (isUnreachable && !tool.globals.quiet) note('auth responds again')
      isUnreachable = false
      return answer
    } catch (error) {
      const failure = asFailure(error)
      if (signal.aborted) return undefined
      if (failure.exit !== EXIT.tryAgain) throw failure
      if (!isUnreachable && !tool.globals.quiet) note(`${failure.message}: waiting for it`)
      isUnreachable = true
      return undefined
    }
  }
}
