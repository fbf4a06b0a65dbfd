/** Reads the files of a data directory without a change to any of them: for `ch202 doctor` and the start of the tool. */
export * from './auth.ts'
export * from './database.ts'
export * from './drift.ts'
export * from './outbox.ts'
export * from './users.ts'
