const REASONS: Record<string, string> = {
  EACCES: 'permission denied',
  EEXIST: 'a file with that name already exists',
  EISDIR: 'it is a directory',
  ENOENT: 'no such file or directory',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
}
const ACTIONS: Record<string, string> = { mkdir: 'created', mkdtemp: 'created', scandir: 'read' }

/** The reason for an error of the file system; undefined for other errors. */
export function reasonOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? REASONS[String(error.code)] : undefined
}

/** Describes an error of the file system, or one caused by it, in a sentence; undefined for other errors. */
export function fileErrorMessage(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const reason = reasonOf(error)
  if (reason === undefined) return messageWithReason(error)
  const { path, syscall = '' } = error as NodeJS.ErrnoException
  return path && `${path} cannot be ${ACTIONS[syscall] ?? 'opened'}: ${reason}`
}

/** Replaces the system's own text in a message by the reason in plain words. */
function messageWithReason({ cause, message }: Error): string | undefined {
  const reason = reasonOf(cause)
  const causeMessage = (cause as Error | undefined)?.message
  return reason !== undefined && causeMessage ? message.replace(causeMessage, reason) : undefined
}
