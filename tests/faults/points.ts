import { Database } from 'bun:sqlite'

/**
 * Loaded into a process before the program (`bun --preload`): ends it, as SIGKILL does, at a named point.
 * `FAULT=statement:<n>`: at the n-th statement of its migrations. `FAULT=before-commit` and `FAULT=after-commit`: at the
 * first commit after it was armed by SIGUSR2.
 */
const [point, count = '1'] = (process.env.FAULT ?? '').split(':')
let left = Number(count)
let armed = point === 'statement'
process.on('SIGUSR2', () => {
  armed = true
})

function reached(): void {
  if (armed && --left === 0) process.kill(process.pid, 'SIGKILL')
}

const run = Database.prototype.run as (this: Database, sql: string, ...rest: unknown[]) => unknown

// A signal to oneself arrives at once: nothing of ours runs after it.
Database.prototype.run = function (this: Database, sql: string, ...rest: unknown[]) {
  const isCommit = sql === 'COMMIT'
  const statements = point === 'statement' && !rest.length ? split(sql) : []
  if (statements.length > 1) {
    for (const statement of statements) {
      reached()
      run.call(this, statement)
    }
    return { changes: 0, lastInsertRowid: 0 }
  }
  if (isCommit && (point === 'before-commit' || point === 'statement')) reached()
  const result = run.call(this, sql, ...rest)
  if (isCommit && (point === 'after-commit' || point === 'statement')) reached()
  return result
} as typeof Database.prototype.run

/** A migration's statements: each begins its line, what belongs to a trigger does not. */
function split(sql: string): string[] {
  return sql.split(/(?<=;)\s*\n(?!END\b)(?=[A-Z])/)
}
