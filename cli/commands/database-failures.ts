import { EXIT, Failure } from '../exit.ts'

/**
 * Turns the failures of a PostgreSQL database into failures of the tool.
 * @param suggestion the command that examines the database
 */
export async function withDatabaseFailures<Result>(
  work: Promise<Result>,
  suggestion = 'ch202 doctor --only database',
): Promise<Result> {
  try {
    return await work
  } catch (error) {
    const { PostgresFailure } = await import('../../db/postgres/failure.ts')
    if (!(error instanceof PostgresFailure)) throw error
    const { code, isTemporary, message } = error
    throw new Failure(isTemporary ? EXIT.tryAgain : EXIT.failed, `${message} (${code})`, {
      code: isTemporary ? 'database_unavailable' : 'database_refused',
      suggestion,
      retryable: isTemporary,
    })
  }
}
