import { count } from '../../../terminal/terminal.ts'
import { LeftRoles, type LeftRolesRead } from './left-roles.ts'
import type { Left, UserRecord } from './record.ts'

export const STATUSES = ['created', 'updated', 'unchanged', 'skipped', 'failed'] as const
export type Status = (typeof STATUSES)[number]

/** What became of the records so far, and what was left behind of how many. */
export type Counts = Record<Status, number> & { left: Partial<Record<Left, number>>; roles: LeftRoles }

/** As a journal keeps them. */
export type CountsRead = Omit<Counts, 'roles'> & { roles: LeftRolesRead }

export function noCounts(): Counts {
  return { created: 0, updated: 0, unchanged: 0, skipped: 0, failed: 0, left: {}, roles: new LeftRoles() }
}

export function countsFrom(read: CountsRead): Counts {
  return { ...read, roles: new LeftRoles(read.roles) }
}

/** @param made whether the user is new: someone who was here keeps the password of here */
export function leftOf({ left = [] }: UserRecord, made: boolean): readonly Left[] {
  return made ? left : left.filter((what) => what !== 'password')
}

export function countLeft({ left }: Counts, found: readonly Left[]): void {
  for (const what of found) left[what] = (left[what] ?? 0) + 1
}

export function totalOf(counts: Counts): number {
  return STATUSES.reduce((sum, status) => sum + counts[status], 0)
}

const LEFT: Record<Left, [what: string, hint: string]> = {
  admin: ['Administrators there, but not here', '--keep-admins keeps it'],
  username: ['Without their username, which does not fit', '3 to 32 letters, digits, dots, dashes or underscores'],
  created_at: ['As if they were made today', 'the time of their making can’t be read'],
  name_controls: ['Names with control characters, now blanks', 'tabs and line breaks, say'],
  name_cut: ['Names that were cut', 'a name has at most 200 characters'],
  blanks: ['Without the blanks around an email or another field', 'they mean nothing there'],
  metadata: ['Without metadata that do not fit', 'JSON objects of at most 8 KiB and 8 levels'],
  attributes: ['Without attributes or claims that have no place here', 'metadata and app_metadata of a JSONL file do'],
  password: [
    'Without a password',
    'ch202 users list --no-password names them, ch202 users send-reset <ref> lets one set it',
  ],
}

/** What an operator should know of users who were taken though not all of them could be. */
export function leftBehind({ left, roles }: Counts): string[] {
  const lines = Object.entries(LEFT).flatMap(([name, [what, hint]]) => {
    const number = left[name as Left]
    return number === undefined ? [] : [`${what}: ${count(number)} (${hint})`]
  })
  return [...lines, ...roles.lines]
}
