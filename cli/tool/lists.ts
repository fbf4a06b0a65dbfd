import { type Command, InvalidArgumentError } from 'commander'
import { EXIT, Failure, usage } from '../exit.ts'
import type { ListPage } from '../terminal/output.ts'
import { quoted } from '../terminal/shell.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { Tool } from './command.ts'

/** The options that `listCommand` adds. */
export interface ListOptions {
  limit?: number
  cursor?: string
  all?: boolean
}

/** Maximum number of items in a page of the API. */
const PAGE_MAX = 200
/** Number of items that a list prints by default. */
const LIMIT = 50

/** Adds the options of every command that lists. */
export function listCommand(command: Command): Command {
  return command
    .option('--limit <n>', `maximum number of items (default: ${LIMIT})`, wholeNumber)
    .option('--cursor <cursor>', 'continue from a previous page')
    .option('--all', 'list everything')
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError('It must be a whole number from 1')
  return Number(text)
}

/** Turns filters back into options; a value that begins with a dash must not look like an option. */
export function flags(filters: object): string[] {
  return Object.entries(withoutUndefined(filters)).flatMap(([name, value]) =>
    String(value).startsWith('-') ? [`--${name}=${value}`] : [`--${name}`, String(value)],
  )
}

/** The query for one page of a list. */
export type PageQuery = { size: string; cursor?: string }

/**
 * Prints a list that the API returns in pages: up to `limit` items, or all of them.
 * @param words the command with its filters, to suggest how to continue
 */
export async function list(
  tool: Tool,
  { all, cursor, limit }: ListOptions,
  words: readonly string[],
  columns: readonly string[],
  fetchPage: (query: PageQuery) => Promise<ListPage>,
): Promise<void> {
  if (all && limit !== undefined) throw usage('--all and --limit cannot be combined')
  if (all) return tool.out.allPages(pages(fetchPage, cursor), columns)
  const items: ListPage['items'] = []
  let first: ListPage | undefined
  let next: string | null = null
  let count = 0
  for await (const page of pages(fetchPage, cursor, limit ?? LIMIT)) {
    first ??= page
    items.push(...page.items)
    next = page.next_cursor
    count++
  }
  if (!first) return
  const command = words.map(quoted).join(' ')
  const limitFlag = limit === undefined ? '' : ` --limit ${limit}`
  // Other fields of a page, such as its size, would be wrong for several pages together.
  const fields = count === 1 ? first : { total: first.total }
  await tool.out.page(
    { ...fields, items, next_cursor: next },
    columns,
    (from) => `ch202 ${command}${limitFlag} --cursor ${quoted(from)}`,
  )
}

/**
 * Yields pages of the API, as large as the API allows.
 * @param from cursor to start at
 * @param maxItems maximum number of items in all pages together
 * @throws Failure for a response that is not a list
 */
export async function* pages(
  fetchPage: (query: PageQuery) => Promise<ListPage>,
  from?: string,
  maxItems = Number.POSITIVE_INFINITY,
): AsyncGenerator<ListPage> {
  let cursor = from
  for (let remaining = maxItems; remaining > 0; ) {
    const size = String(Math.min(remaining, PAGE_MAX))
    const page = await fetchPage(cursor === undefined ? { size } : { size, cursor })
    // Another server may answer at this address.
    if (!Array.isArray(page.items))
      throw new Failure(EXIT.tryAgain, 'Unexpected response: not a Ch202 list', {
        code: 'unreachable',
        suggestion: 'ch202 config show --origin',
      })
    yield page
    remaining -= page.items.length
    if (page.next_cursor === null || page.items.length === 0) return
    cursor = page.next_cursor
  }
}
