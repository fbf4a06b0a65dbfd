import { EXIT, Failure } from '../exit.ts'

/** Turns the failures of a PostgreSQL database into failures of the tool: trying again may help. */
export async function withDatabaseFailures<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    const { PostgresFailure } = await import('../../db/postgres/inspect/server.ts')
    if (!(error instanceof PostgresFailure)) throw error
    throw new Failure(EXIT.tryAgain, `${error.message} (${error.code})`, {
      code: 'database_unavailable',
      suggestion: 'ch202 doctor --only database',
      retryable: true,
    })
  }
}
