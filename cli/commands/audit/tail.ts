import { EXIT } from '../../exit.ts'
import { asFailure, type ListPage } from '../../terminal/output.ts'
import type { Row } from '../../terminal/table.ts'
import { note } from '../../terminal/terminal.ts'
import type { Tool } from '../../tool/command.ts'
import { pages } from '../../tool/lists.ts'

const LAST = '10'
const PAGE = '200'
const EVERY = 1000

export interface AuditFilter {
  user_id?: string
  type?: string
}

/**
 * The last rows, and then those that come, each once and in the order in which they were written: what follows is asked
 * for by the last row that was seen, so it does not matter how many came meanwhile, or when.
 * @param stopped aborts it
 * @throws Failure but for an auth that is away: it is waited for
 */
export async function* tail(tool: Tool, filter: AuditFilter, stopped: AbortSignal): AsyncGenerator<Row[]> {
  const api = await tool.api()
  const list: List = (query) => api.auth((auth) => auth.admin.audit.get({ query: { ...query } }))
  const patiently = patience(tool, stopped)

  // The newest of all is asked for first: where none fits so far, what comes is found after it.
  const [newest] = (await list({ size: '1' })).items
  const last = (await list({ ...filter, size: LAST })).items.reverse()
  if (last.length > 0) yield last
  let after = idOf(last.at(-1) ?? newest)
  while (!stopped.aborted) {
    const found = await patiently(() => rowsAfter(list, filter, after))
    if (found && found.rows.length > 0) yield found.rows
    after = found?.after ?? after
    if (found?.more !== true) await pause(stopped)
  }
}

type List = (query: object) => Promise<ListPage>

/** The rows that fit after the one that was seen last, and which that is then. */
async function rowsAfter(list: List, filter: AuditFilter, after: string | undefined) {
  if (after === undefined) return await beginning(list, filter)
  const { items, next_cursor } = await list({ ...filter, after_id: after, size: PAGE })
  return { rows: items, after: idOf(items.at(-1)) ?? after, more: next_cursor !== null }
}

/** Of an audit that had no row so far. */
async function beginning(list: List, filter: AuditFilter) {
  const all: Row[] = []
  for await (const { items } of pages(list)) all.push(...items)
  const fits = (row: Row) =>
    (filter.type === undefined || row.type === filter.type) &&
    (filter.user_id === undefined || row.user_id === filter.user_id)
  const after = idOf(all[0])
  return { rows: all.reverse().filter(fits), after, more: false }
}

function idOf(row: Row | undefined): string | undefined {
  return row && String(row.id)
}

/** Goes on through an auth that is away, and says so once. */
function patience(tool: Tool, stopped: AbortSignal) {
  let away = false
  return async <T>(ask: () => Promise<T>): Promise<T | undefined> => {
    try {
      const answer = await ask()
      if (away && !tool.globals.quiet) note('auth answers again')
      away = false
      return answer
    } catch (error) {
      const failure = asFailure(error)
      if (stopped.aborted) return undefined
      if (failure.exit !== EXIT.tryAgain) throw failure
      if (!away && !tool.globals.quiet) note(`${failure.message}: waiting for it`)
      away = true
      return undefined
    }
  }
}

function pause(stopped: AbortSignal): Promise<void> {
  if (stopped.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, EVERY)
    stopped.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}
