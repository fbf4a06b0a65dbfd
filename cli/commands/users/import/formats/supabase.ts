import { usage } from '../../../../exit.ts'
import { booleanOf, fieldsInJson, fullName, rolesInClaims, timeOf, UNREADABLE } from '../record/field-values.ts'
import { importRecordOf } from '../record/foreign-user.ts'
import { hashIn } from '../record/imported-hash.ts'
import type { ImportRecord } from '../record/record.ts'
import { csvRows } from '../text/csv-rows.ts'
import { isJson, peekFirst } from '../text/first-bytes.ts'
import { jsonRecords } from '../text/json-records.ts'
import type { Fields, RawRecord } from '../text/raw-record.ts'
import type { Bytes } from '../text/text-lines.ts'

/** Reads users of Supabase: the table `auth.users` as CSV with a header row, or the admin API's list as JSON. */
export async function* supabase(source: Bytes): AsyncGenerator<ImportRecord> {
  const { first, bytes } = await peekFirst(source)
  for await (const record of isJson(first) ? jsonRecords(bytes) : csvRecords(bytes))
    yield 'fault' in record ? record : recordOf(record.place, record.value)
}

async function* csvRecords(source: Bytes): AsyncGenerator<RawRecord> {
  let names: string[] | null = null
  for await (const row of csvRows(source)) {
    const place = row.line
    if ('fault' in row) yield { place, fault: row.fault }
    else if (!names) {
      names = row.cells.map(({ text }) => text.trim())
      const duplicate = names.find((name, index) => names?.indexOf(name) !== index)
      if (duplicate !== undefined) throw usage(`The first row names the column ${JSON.stringify(duplicate)} twice`)
      if (!names.includes('email')) throw usage('The first row has no column email: export the CSV with its header row')
    } else if (row.cells.length !== names.length)
      yield { place, fault: `The row has ${row.cells.length} cells, but the first row has ${names.length}` }
    else {
      const value: Fields = {}
      // The dashboard writes the word "null" for empty values.
      for (const [n, { text, isQuoted }] of row.cells.entries())
        if (text !== '' && (isQuoted || text.toLowerCase() !== 'null')) value[names[n] as string] = text
      yield { place, value }
    }
  }
}

function recordOf(place: number, user: Fields): ImportRecord {
  if (user.deleted_at) return { place, fault: 'The user was deleted there' }
  if (booleanOf(user.is_anonymous)) return { place, fault: 'Anonymous user without an email' }
  // Users can edit their user metadata themselves, so it must not grant roles.
  const userMetadata = fieldsInJson(user.raw_user_meta_data ?? user.user_metadata)
  const appMetadata = fieldsInJson(user.raw_app_meta_data ?? user.app_metadata)
  return importRecordOf(place, {
    id: user.id,
    email: user.email,
    username: userMetadata.username,
    name:
      fullName(userMetadata.full_name) ??
      fullName(userMetadata.name) ??
      fullName(userMetadata.display_name) ??
      fullName(userMetadata.first_name, userMetadata.last_name),
    roles: rolesInClaims(appMetadata),
    disabled: isInFuture(user.banned_until),
    emailVerified: Boolean(user.email_confirmed_at ?? user.confirmed_at),
    createdAt: timeOf(user.created_at),
    metadata: userMetadata,
    app_metadata: appMetadata,
    password: hashIn(user.encrypted_password),
  })
}

function isInFuture(time: unknown): boolean {
  const until = timeOf(time)
  // PostgreSQL's `infinity` is not a time that can be read.
  return until !== undefined && (until === UNREADABLE || Date.parse(until) > Date.now())
}
