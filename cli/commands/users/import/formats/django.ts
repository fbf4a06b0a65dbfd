import { fieldsOf, fullName, timeOf } from '../record/field-values.ts'
import { importRecordOf } from '../record/foreign-user.ts'
import { hashIn } from '../record/imported-hash.ts'
import type { ReadRecord, TheirRole } from '../record/record.ts'
import { jsonRecords } from '../text/json-records.ts'
import type { Fields } from '../text/raw-record.ts'
import type { Bytes } from '../text/text-lines.ts'

const NO_USERS = 'No record in the file has the fields email and password: dump the model of your users (auth.user)'

/**
 * Reads users of Django from `manage.py dumpdata auth.user` (`--format json` or `jsonl`). Group names are known if the
 * dump includes `auth.group` or was made with `--natural-foreign`. A record of any model with the fields `email` and
 * `password` is a user; other records are ignored.
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
    const fields = fieldsOf(record.value.fields)
    if ('email' in fields && 'password' in fields) {
      users++
      yield recordOf(place, pk, fields)
    } else if (model === 'auth.group' && typeof fields.name === 'string')
      yield { place, group: { id: String(pk), name: fields.name } }
  }
  if (users === 0) yield { place: place + 1, fault: NO_USERS }
}

function recordOf(place: number, pk: unknown, fields: Fields): ReadRecord {
  return importRecordOf(place, {
    id: pk,
    email: fields.email,
    username: fields.username,
    name: fullName(fields.first_name, fields.last_name) ?? fullName(fields.full_name) ?? fullName(fields.name),
    roles: Array.isArray(fields.groups) ? fields.groups.map(roleOfGroup) : [],
    admin: fields.is_superuser === true,
    disabled: fields.is_active === false,
    createdAt: timeOf(fields.date_joined),
    password: hashIn(fields.password),
  })
}

/** A group is referenced by its key, or by its natural key, a list with its name. */
function roleOfGroup(group: unknown): TheirRole {
  if (Array.isArray(group)) return group.map(String).join(' ')
  return { group: String(group) }
}
