import type { PageRequest, Position, Slice } from '../services/kit/schema/page.ts'

/** One row more than the page holds is read: whether there is a next page is known by it. */
export function pageBounds(request: PageRequest): { limit: number; offset: number } {
  return { limit: request.size + 1, offset: 'page' in request ? (request.page - 1) * request.size : 0 }
}

/**
 * The page that was asked for, of the rows of its `window`.
 * @param count how many there are in all; asked only for a numbered page, as a walk does not say
 * @param position where a walk goes on after a row
 */
export function sliceOf<T>(
  rows: T[],
  request: PageRequest,
  count: () => number,
  position: (row: T) => Position,
): Slice<T> {
  const shown = rows.slice(0, request.size)
  const last = shown.at(-1)
  const more = rows.length > request.size && last !== undefined
  return { rows: shown, total: 'page' in request ? count() : null, next: more ? position(last) : null }
}
