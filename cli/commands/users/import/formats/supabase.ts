import { usage } from '../../../../exit.ts'
import { hashIn } from '../record/imported-hash.ts'
import { flagOf, fullName, normalize, objectIn, rolesInClaims, timeOf } from '../record/normalize.ts'
import type { ImportRecord } from '../record/record.ts'
import { csvRows } from '../text/csv-rows.ts'
import { isJson, restarted } from '../text/first-bytes.ts'
import { jsonRecords } from '../text/json-records.ts'
import type { Bytes } from '../text/text-lines.ts'

type Fields = Record<string, unknown>

/** Users of Supabase: the table `auth.users` as CSV with its first row, or what the admin API lists, as JSON. */
export async function* supabase(source: Bytes): AsyncGenerator<ImportRecord> {
  const { first, bytes } = await restarted(source)
  for await (const record of isJson(first) ? jsonRecords(bytes) : table(bytes))
    yield 'fault' in record ? record : userOf(record.place, record.value)
}

async function* table(
  source: Bytes,
): AsyncGenerator<{ place: number; value: Fields } | { place: number; fault: string }> {
  let names: string[] | null = null
  for await (const row of csvRows(source)) {
    const place = row.line
    if ('fault' in row) yield { place, fault: row.fault }
    else if (!names) {
      names = row.cells.map(({ text }) => text.trim())
      const twice = names.find((name, index) => names?.indexOf(name) !== index)
      if (twice !== undefined) throw usage(`The first row names the column ${JSON.stringify(twice)} twice`)
      if (!names.includes('email')) throw usage('The first row names no column email: the CSV needs its first row')
    } else if (row.cells.length !== names.length)
      yield { place, fault: `The row has ${row.cells.length} cells where the first row has ${names.length}` }
    else {
      const value: Fields = {}
      // The dashboard writes the word where there is nothing.
      for (const [n, { text, quoted }] of row.cells.entries())
        if (text !== '' && (quoted || text.toLowerCase() !== 'null')) value[names[n] as string] = text
      yield { place, value }
    }
  }
}

function userOf(place: number, user: Fields): ImportRecord {
  if (user.deleted_at) return { place, fault: 'It was deleted there' }
  if (flagOf(user.is_anonymous)) return { place, fault: 'It is an anonymous user, without an email' }
  // Users can write the first themselves: no role may come of it.
  const own = objectIn(user.raw_user_meta_data ?? user.user_metadata)
  const given = objectIn(user.raw_app_meta_data ?? user.app_metadata)
  const found = {
    id: user.id,
    email: user.email,
    username: own.username,
    name:
      fullName(own.full_name) ??
      fullName(own.name) ??
      fullName(own.display_name) ??
      fullName(own.first_name, own.last_name),
    roles: rolesInClaims(given),
    disabled: isAhead(user.banned_until),
    emailVerified: Boolean(user.email_confirmed_at ?? user.confirmed_at),
    createdAt: timeOf(user.created_at),
    metadata: own,
    app_metadata: given,
    password: hashIn(user.encrypted_password),
  }
  return normalize(place, found)
}

function isAhead(time: unknown): boolean {
  const until = timeOf(time)
  // `infinity` is one that can't be read.
  return until !== undefined && (until === '' || Date.parse(until) > Date.now())
}
