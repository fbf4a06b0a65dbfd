import type { PageRequest, Position, Slice } from '../services/kit/schema/page.ts'

/** The limit and offset of a query for a page. The limit is one row more than the page: that row shows a next page. */
export function pageBounds(request: PageRequest): { limit: number; offset: number } {
  return { limit: request.size + 1, offset: 'page' in request ? (request.page - 1) * request.size : 0 }
}

/**
 * Makes a page of the rows that its `pageBounds` selected.
 * @param count counts all rows of the list; called for numbered pages only
 * @param position gives the cursor that continues the list after a row
 */
export async function sliceOf<T>(
  rows: T[],
  request: PageRequest,
  count: () => Promise<number>,
  position: (row: T) => Position,
): Promise<Slice<T>> {
  const page = rows.slice(0, request.size)
  const last = page.at(-1)
  const hasNext = rows.length > request.size
  return {
    rows: page,
    total: 'page' in request ? await count() : null,
    next: hasNext && last !== undefined ? position(last) : null,
  }
}
