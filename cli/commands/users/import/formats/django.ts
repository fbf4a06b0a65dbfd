import { hashIn } from '../record/imported-hash.ts'
import { fullName, normalize, object, timeOf } from '../record/normalize.ts'
import type { ReadRecord, TheirRole } from '../record/record.ts'
import { jsonRecords } from '../text/json-records.ts'
import type { Bytes } from '../text/text-lines.ts'

type Fields = Record<string, unknown>

const NO_USERS = 'No record of the file has the fields email and password: dump the model of your users (auth.user)'

/**
 * Users of Django, as `manage.py dumpdata auth.user` writes them (`--format json` or `jsonl`); with `auth.group` beside
 * them, or with `--natural-foreign`, the names of their groups are known. A user is a record of any model that has the
 * fields `email` and `password`; what is none is passed over.
 */
export async function* django(source: Bytes): AsyncGenerator<ReadRecord> {
  let place = 0
  let users = 0
  for await (const record of jsonRecords(source)) {
    place = record.place
    if ('fault' in record) {
      users++
      yield record
      continue
    }
    const { model, pk } = record.value
    const fields = object(record.value.fields)
    if ('email' in fields && 'password' in fields) {
      users++
      yield userOf(place, pk, fields)
    } else if (model === 'auth.group' && typeof fields.name === 'string')
      yield { place, group: { id: String(pk), name: fields.name } }
  }
  if (users === 0) yield { place: place + 1, fault: NO_USERS }
}

function userOf(place: number, pk: unknown, fields: Fields): ReadRecord {
  return normalize(place, {
    id: pk,
    email: fields.email,
    username: fields.username,
    name: fullName(fields.first_name, fields.last_name) ?? fullName(fields.full_name) ?? fullName(fields.name),
    roles: Array.isArray(fields.groups) ? fields.groups.map(groupOf) : [],
    admin: fields.is_superuser === true,
    disabled: fields.is_active === false,
    createdAt: timeOf(fields.date_joined),
    password: hashIn(fields.password),
  })
}

/** By its key, or by its natural key, which is a list of its name. */
function groupOf(group: unknown): TheirRole {
  if (Array.isArray(group)) return group.map(String).join(' ')
  return { group: String(group) }
}
