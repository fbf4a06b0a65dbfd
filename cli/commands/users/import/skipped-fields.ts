import { count } from '../../../terminal/terminal.ts'
import type { SkippedField, UserRecord } from './record/record.ts'
import type { SkippedRoles } from './roles/skipped-roles.ts'

/** How many users were imported without each field. */
export type SkippedCounts = Partial<Record<SkippedField, number>>

/** The fields that a user lacks after the import: an updated user keeps the password that they have here. */
export function skippedFieldsOf({ skipped = [] }: UserRecord, outcome: 'created' | 'updated'): readonly SkippedField[] {
  return outcome === 'created' ? skipped : skipped.filter((field) => field !== 'password')
}

/** The fields that a user would lack, as far as their record shows: a second factor needs a verified email. */
export function expectedSkippedFieldsOf(record: UserRecord): readonly SkippedField[] {
  const fields = skippedFieldsOf(record, 'created')
  return record.apps && record.user.email_verified !== true ? [...fields, 'factor_unverified'] : fields
}

/** Adds the skipped fields of one user to `counts`. */
export function countSkipped(counts: SkippedCounts, fields: readonly SkippedField[]): void {
  for (const field of fields) counts[field] = (counts[field] ?? 0) + 1
}

/** The warning for each field; the hint follows the number of users in parentheses. */
const WARNINGS: Record<SkippedField, [text: string, hint: string]> = {
  admin: ['Imported without the ADMIN role', 'use --keep-admins to keep it'],
  username: ['Invalid usernames left out', 'a username has 3 to 32 letters, digits, dots, dashes or underscores'],
  created_at: ['Creation time set to now', 'the time in the file cannot be read'],
  name_controls: ['Control characters in a name replaced by spaces', 'tabs and line breaks, for example'],
  name_cut: ['Names shortened', 'a name has at most 200 characters'],
  metadata: ['Metadata left out because it is not valid', 'JSON objects of at most 8 KiB and 8 levels'],
  metadata_nul: ['NUL characters in metadata replaced by spaces', 'JSON with NUL cannot be stored'],
  attributes: ['Attributes or claims left out', 'a JSONL file can have metadata and app_metadata'],
  factor_kind: [
    'Second factors left out because their kind cannot be imported',
    'only apps that show codes by the time can',
  ],
  factor_unverified: [
    'Second factors left out because the email is not verified',
    'ch202 users list --unverified lists the users',
  ],
  blanks: ['Spaces around an email or another field removed', 'they have no meaning there'],
  password: [
    'Imported without a password',
    'ch202 users list --no-password lists them, ch202 users invite --without-password --all emails links to set one',
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
