import { type Command, InvalidArgumentError } from 'commander'
import type { Tool } from '../command.ts'
import { EXIT, Failure, usage } from '../exit.ts'
import { withoutUndefined } from '../without-undefined.ts'
import type { ListPage } from './output.ts'
import { quoted } from './shell.ts'

/** How much of a list is wanted. */
export interface Extent {
  limit?: number
  cursor?: string
  all?: boolean
}

/** What the API gives at once. */
const PAGE_MAX = 200
const LIMIT = 50

/** The options of every command that lists. */
export function listCommand(command: Command): Command {
  return command
    .option('--limit <n>', `at most so many (default: ${LIMIT})`, wholeNumber)
    .option('--cursor <cursor>', 'go on where an earlier list was cut')
    .option('--all', 'all of them, however many')
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError('It must be a whole number from 1')
  return Number(text)
}

/** Filters as they are typed, each an option of its name; a value that begins with a dash must not look like one. */
export function flags(filters: object): string[] {
  return Object.entries(withoutUndefined(filters)).flatMap(([name, value]) =>
    String(value).startsWith('-') ? [`--${name}=${value}`] : [`--${name}`, String(value)],
  )
}

export type Query = { size: string; cursor?: string }

/**
 * Lists a part, or all, of what the API gives by pages.
 * @param words the command with its filters, to say how to go on
 */
export async function list(
  tool: Tool,
  { all, cursor, limit }: Extent,
  words: readonly string[],
  columns: readonly string[],
  page: (query: Query) => Promise<ListPage>,
): Promise<void> {
  if (all && limit !== undefined) throw usage('--all and --limit exclude each other')
  if (all) return tool.out.walk(pages(page, cursor), columns)
  const wanted = limit ?? LIMIT
  const items: ListPage['items'] = []
  let first: ListPage | undefined
  let next: string | null = null
  let parts = 0
  for await (const part of pages(page, cursor, wanted)) {
    first ??= part
    items.push(...part.items)
    next = part.next_cursor
    parts++
  }
  if (!first) return
  const command = words.map(quoted).join(' ')
  const more = limit === undefined ? '' : ` --limit ${limit}`
  // What the API said of its one page is not true of several.
  const said = parts === 1 ? first : { total: first.total }
  await tool.out.page(
    { ...said, items, next_cursor: next },
    columns,
    (at) => `ch202 ${command}${more} --cursor ${quoted(at)}`,
  )
}

/**
 * The parts of what the API gives by pages, as large as it gives them.
 * @param from a cursor: where an earlier list was cut @param wanted how many items at most
 */
export async function* pages(
  page: (query: Query) => Promise<ListPage>,
  from?: string,
  wanted = Number.POSITIVE_INFINITY,
): AsyncGenerator<ListPage> {
  let cursor = from
  for (let left = wanted; left > 0; ) {
    const size = String(Math.min(left, PAGE_MAX))
    const part = await page(cursor === undefined ? { size } : { size, cursor })
    // It may be anyone's JSON.
    if (!Array.isArray(part.items))
      throw new Failure(EXIT.tryAgain, 'What answers is no list of Ch202', {
        code: 'unreachable',
        suggestion: 'ch202 config show --origin',
      })
    yield part
    left -= part.items.length
    if (part.next_cursor === null || part.items.length === 0) return
    cursor = part.next_cursor
  }
}
