/** The name of the list in a statement, and of the row that a read finds for one of its values. */
const LIST = 'list'
const ROW = 'found'
const ELEMENTS = 'jsonb_array_elements(CAST($1 AS text)::jsonb)'

/** The type of a parameter: that of its column. */
export type ParameterType = 'text' | 'bigint' | 'bytea'

/**
 * Rewrites a statement of the query builder so that it runs for each of many values.
 * @param text with `$1`, `$2` … for its parameters
 * @returns a statement whose only parameter is a JSON list of lists of values. A read gives the place in the list, from 1,
 * before each row. `OFFSET` makes PostgreSQL look up each value in the index: a join might read the whole table, and conflict
 * with every transaction that writes to it
 * @throws Error for a statement that is no select, no insert of one row, no update and no delete
 */
export function listForm(text: string, types: readonly ParameterType[]): string {
  const each = text.replaceAll(/\$(\d+)/g, (_, number: string) => valueAt(Number(number) - 1, types))
  if (/^select /i.test(text))
    return `SELECT ${LIST}.place, ${ROW}.* FROM ${ELEMENTS} WITH ORDINALITY AS ${LIST} (value, place)
      CROSS JOIN LATERAL (${each} OFFSET 0) AS ${ROW}`
  const insert = /^(insert into \S+ \([^)]*\)) values \((.*?)\)( on conflict .*)?$/is.exec(each)
  if (insert) return `${insert[1]} SELECT ${insert[2]} FROM ${ELEMENTS} AS ${LIST} (value)${insert[3] ?? ''}`
  const update = /^(update .*) (where .*)$/is.exec(each)
  if (update) return `${update[1]} FROM ${ELEMENTS} AS ${LIST} (value) ${update[2]}`
  const removal = /^(delete from \S+) (where .*)$/is.exec(each)
  if (removal) return `${removal[1]} USING ${ELEMENTS} AS ${LIST} (value) ${removal[2]}`
  throw new Error(`The statement cannot run for a list: ${text}`)
}

function valueAt(index: number, types: readonly ParameterType[]): string {
  const value = `${LIST}.value->>${index}`
  const type = types[index] ?? 'text'
  if (type === 'bytea') return `decode(${value}, 'hex')`
  return type === 'text' ? `(${value})` : `CAST(${value} AS ${type})`
}
