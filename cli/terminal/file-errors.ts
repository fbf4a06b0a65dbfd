const REASONS: Record<string, string> = {
  EACCES: 'permission is denied',
  EEXIST: 'a file of that name is there',
  EISDIR: 'it is a directory',
  ENOENT: 'there is no such place',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
}
const WORK: Record<string, string> = { mkdir: 'made', mkdtemp: 'made', scandir: 'read' }

/** Why the file system refuses; undefined where that is none of its usual errors. */
export function reasonOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? REASONS[String(error.code)] : undefined
}

/** An error of the file system, or one that comes of it, as a sentence; undefined for any other. */
export function fileErrorMessage(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const reason = reasonOf(error)
  if (reason === undefined) return causeSaid(error)
  const { path, syscall = '' } = error as NodeJS.ErrnoException
  return path && `${path} can't be ${WORK[syscall] ?? 'opened'}: ${reason}`
}

/** What was said of the file before the system's own text. */
function causeSaid({ cause, message }: Error): string | undefined {
  const reason = reasonOf(cause)
  const own = (cause as Error | undefined)?.message
  return reason !== undefined && own ? message.replace(own, reason) : undefined
}
