import { count } from '../../../terminal/terminal.ts'
import type { SkippedField, UserRecord } from './record/record.ts'
import type { SkippedRoles } from './roles/skipped-roles.ts'

/** How many users were imported without each field. */
export type SkippedCounts = Partial<Record<SkippedField, number>>

/** @param isNew false for an existing user, who keeps their password here */
export function skippedFieldsOf({ skipped = [] }: UserRecord, isNew: boolean): readonly SkippedField[] {
  return isNew ? skipped : skipped.filter((field) => field !== 'password')
}

export function countSkipped(counts: SkippedCounts, fields: readonly SkippedField[]): void {
  for (const field of fields) counts[field] = (counts[field] ?? 0) + 1
}

const WARNINGS: Record<SkippedField, [text: string, hint: string]> = {
  admin: ['Imported without the ADMIN role', 'use --keep-admins to keep it'],
  username: ['Imported without a username that is not valid', '3 to 32 letters, digits, dots, dashes or underscores'],
  created_at: ['Creation time set to now', 'the time in the file cannot be read'],
  name_controls: ['Control characters in a name replaced by spaces', 'tabs and line breaks, for example'],
  name_cut: ['Names shortened', 'a name has at most 200 characters'],
  metadata: ['Metadata left out because it is not valid', 'JSON objects of at most 8 KiB and 8 levels'],
  metadata_nul: ['NUL characters in metadata replaced by spaces', 'JSON with NUL cannot be stored'],
  attributes: ['Attributes or claims left out', 'a JSONL file can have metadata and app_metadata'],
  blanks: ['Spaces around an email or another field removed', 'they have no meaning there'],
  password: [
    'Without a password',
    'ch202 users list --no-password lists them, ch202 users send-reset <ref> lets one set it',
  ],
}

/** Warnings about users that were imported without a field or a role, a line each. */
export function skippedWarnings({
  skippedFields,
  roles,
}: {
  skippedFields: SkippedCounts
  roles: SkippedRoles
}): string[] {
  const lines = Object.entries(WARNINGS).flatMap(([field, [text, hint]]) => {
    const users = skippedFields[field as SkippedField]
    return users === undefined ? [] : [`${text}: ${count(users)} (${hint})`]
  })
  return [...lines, ...roles.lines]
}
