import { Database } from 'bun:sqlite'

/**
 * Loaded into a process before the program (`bun --preload`): ends it, as SIGKILL does, at a named point.
 * `FAULT=statement:<n>`: at the n-th statement of its migrations. `FAULT=before-commit` and `FAULT=after-commit`: at the
 * next commit to the database of the service that a request names in `x-fault`.
 */
const [point, count = '1'] = (process.env.FAULT ?? '').split(':')
let countdown = Number(count)
let armed: string | undefined
/** Whether the current transaction merges the search index, which belongs to no request. */
let merging = false

const serve = Bun.serve
Bun.serve = ((options: { fetch: (request: Request) => unknown }) => {
  const { fetch } = options
  return serve({
    ...options,
    fetch(request: Request) {
      armed = request.headers.get('x-fault') ?? armed
      return fetch(request)
    },
  } as unknown as Parameters<typeof serve>[0])
}) as typeof serve

function reached(database: Database): void {
  const isTarget = point === 'statement' || (armed !== undefined && database.filename.endsWith(`${armed}.sqlite`))
  if (isTarget && --countdown === 0) process.kill(process.pid, 'SIGKILL')
}

const run = Database.prototype.run as (this: Database, sql: string, ...rest: unknown[]) => unknown

// A signal to the own process arrives at once: none of our code runs after it.
Database.prototype.run = function (this: Database, sql: string, ...rest: unknown[]) {
  if (sql.includes("VALUES ('merge'")) merging = true
  const isCommit = sql === 'COMMIT'
  if (isCommit && merging) {
    merging = false
    return run.call(this, sql, ...rest)
  }
  const statements = point === 'statement' && !rest.length ? split(sql) : []
  if (statements.length > 1) {
    for (const statement of statements) {
      reached(this)
      run.call(this, statement)
    }
    return { changes: 0, lastInsertRowid: 0 }
  }
  if (isCommit && (point === 'before-commit' || point === 'statement')) reached(this)
  const result = run.call(this, sql, ...rest)
  if (isCommit && (point === 'after-commit' || point === 'statement')) reached(this)
  return result
} as typeof Database.prototype.run

/** Recognises the statements of a migration: each begins its line, unlike the body of a trigger. */
function split(sql: string): string[] {
  return sql.split(/(?<=;)\s*\n(?!END\b)(?=[A-Z])/)
}
