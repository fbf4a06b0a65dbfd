/**
 * Thrown by a store when its database cannot be read or written at the moment: the disk is full or fails, a lock lasts
 * too long, the file is damaged. The request may succeed later.
 */
export class DatabaseUnavailable extends Error {
  override name = 'DatabaseUnavailable'

  /** Whether the database can be read. */
  readonly isReadOnly: boolean

  /** @param code names the failure, as the database does: for the log */
  constructor(
    message: string,
    readonly code: string,
    { isReadOnly = false, ...options }: ErrorOptions & { isReadOnly?: boolean } = {},
  ) {
    super(message, options)
    this.isReadOnly = isReadOnly
  }
}
