import { type TSchema, t } from 'elysia'
import { errorOf, excludedBy, type FieldError, notAllowed } from '../field-errors.ts'
import { invalid, invalidField } from '../problem.ts'
import { described } from './described.ts'
import { checked, integer, queryInteger, strict, text } from './schema.ts'

const SIZE = 50
const SIZE_MAX = 200
const CURSOR = 'WyIzazF4IiwiMDE5OGM3YTIiXQ'

/** The part of a list that a client requests: a page by its number, or the rows after a cursor. */
export type PageRequest = { size: number } & ({ page: number } | { after: Position })

/** A position in a list: the sort key of the last row that was read. */
export type Position = (string | number)[]

/** A part of a list: its rows, the total (null after a cursor), and the position of the last row if more follow. */
export interface Slice<T> {
  rows: T[]
  total: number | null
  next: Position | null
}

/** The query of every list. */
export const pageQuery = {
  page: t.Optional(
    described(queryInteger(1, 10_000_000), 'The number of the page, from 1; not together with `cursor`'),
  ),
  size: t.Optional(described(queryInteger(1, SIZE_MAX), `The size of the page; without it ${SIZE}`, SIZE)),
  cursor: t.Optional(
    text({
      least: 1,
      most: 1000,
      description: 'The `next_cursor` of the page before: continues after its last item',
      examples: [CURSOR],
    }),
  ),
}

const searchText = text({ most: 200 })

/**
 * The query of a list that can be searched. The length counts in NFC, as for names.
 * @param fields the fields that are searched, for the documentation
 */
export function searchQuery(fields: string) {
  const { check, ...documentation } = searchText
  const description = `A part of ${fields}, in upper or lower case; ё and е are the same letter. Empty: no search`
  return {
    search: t.Optional(
      checked<string>({ ...documentation, description, examples: ['ana'] }, (value) =>
        check(typeof value === 'string' ? value.normalize('NFC') : value),
      ),
    ),
  }
}

/** The values of `pageQuery`. */
export interface PageQuery {
  page?: string
  size?: string
  cursor?: string
}

/** The rule of every list: `page` and `cursor` exclude each other. */
export function pageErrors({ cursor, page }: { cursor?: unknown; page?: unknown }): FieldError[] {
  return cursor !== undefined && page !== undefined ? [errorOf('page', excludedBy('cursor'))] : []
}

/** The schema of a page. @param item the schema of its items */
export function page<T extends TSchema>(item: T) {
  return strict({
    items: t.Array(item, { description: 'The items of the page' }),
    total: t.Nullable(integer(), { description: 'How many items there are in all; null with `cursor`' }),
    page: t.Nullable(integer(), { description: 'The number of the page; null with `cursor`' }),
    size: described(integer(), 'The size of the page', SIZE),
    pages: t.Nullable(integer(), { description: 'How many pages there are; null with `cursor`' }),
    next_cursor: t.Nullable(t.String(), {
      description: 'The cursor of the next page; null: this is the last one',
      examples: [null],
    }),
  })
}

/**
 * Reads which part of a list a client requests.
 * @param list identifies the list with its filters and order: a cursor of another list is refused
 * @throws Problem `validation_failed` for a cursor of another list
 */
export function pageRequest(query: PageQuery, list: string): PageRequest {
  const size = query.size === undefined ? SIZE : Number(query.size)
  if (query.cursor === undefined) return { size, page: query.page === undefined ? 1 : Number(query.page) }
  if (query.page !== undefined) throw invalid(pageErrors(query))
  return { size, after: readCursor(query.cursor, list) }
}

/** The answer to a request for a part of a list. @param list as for `pageRequest` @param present makes an item of a row */
export function pageAnswer<T, R>(slice: Slice<T>, request: PageRequest, list: string, present: (row: T) => R) {
  const { rows, total, next } = slice
  return {
    items: rows.map(present),
    total,
    page: 'page' in request ? request.page : null,
    size: request.size,
    pages: total === null ? null : Math.ceil(total / request.size),
    next_cursor: next === null ? null : writeCursor(next, list),
  }
}

/**
 * Writes a cursor: a position in a list, with a digest of the list. A cursor grants nothing: its position is bound as a
 * value and never becomes part of a query's text.
 */
function writeCursor(position: Position, list: string): string {
  return Buffer.from(JSON.stringify([digest(list), ...position])).toString('base64url')
}

function readCursor(cursor: string, list: string): Position {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (Array.isArray(value) && value[0] === digest(list)) {
      const position = value.slice(1)
      const isValid = position.every((part) => typeof part === 'string' || Number.isSafeInteger(part))
      if (isValid && position.length > 0) return position
    }
  } catch {
    // Not a cursor.
  }
  throw invalidField('cursor', notAllowed('is not a cursor of this list'))
}

function digest(list: string): string {
  return Bun.hash(list).toString(36)
}
