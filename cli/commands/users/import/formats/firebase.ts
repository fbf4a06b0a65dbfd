import { booleanOf, fieldsInJson, fullName, ROLE_CLAIMS, rolesInClaims, timeOf } from '../record/field-values.ts'
import { type ImportedPassword, importRecordOf } from '../record/foreign-user.ts'
import { BROKEN_HASH, bytesIn } from '../record/imported-hash.ts'
import type { ImportRecord } from '../record/record.ts'
import { csvRows } from '../text/csv-rows.ts'
import { isJson, peekFirst } from '../text/first-bytes.ts'
import { jsonRecords } from '../text/json-records.ts'
import type { Fields, RawRecord } from '../text/raw-record.ts'
import type { Bytes } from '../text/text-lines.ts'
import type { HashConfig } from './firebase-hash-config.ts'

/** The cells of a row by index. There is no header row; the indexes between belong to login providers. */
const CELLS: Record<number, string> = {
  0: 'localId',
  1: 'email',
  2: 'emailVerified',
  3: 'passwordHash',
  4: 'salt',
  5: 'displayName',
  23: 'createdAt',
  26: 'disabled',
  27: 'customAttributes',
}
const CELLS_MIN = 26

/** Reads users of Firebase from `firebase auth:export`, as JSON or CSV. */
export async function* firebase(source: Bytes, config: HashConfig): AsyncGenerator<ImportRecord> {
  const { first, bytes } = await peekFirst(source)
  for await (const record of isJson(first) ? jsonRecords(bytes) : csvRecords(bytes))
    yield 'fault' in record ? record : recordOf(record.place, record.value, config)
}

function recordOf(place: number, user: Fields, config: HashConfig): ImportRecord {
  const claims = fieldsInJson(user.customAttributes)
  return importRecordOf(place, {
    email: user.email,
    name: fullName(user.displayName),
    roles: rolesInClaims(claims),
    disabled: booleanOf(user.disabled) === true,
    emailVerified: booleanOf(user.emailVerified) === true,
    createdAt: timeOf(user.createdAt),
    attributes: Object.keys(claims).some((name) => !ROLE_CLAIMS.includes(name)),
    password: passwordOf(user, config),
  })
}

async function* csvRecords(source: Bytes): AsyncGenerator<RawRecord> {
  for await (const row of csvRows(source)) {
    const place = row.line
    if ('fault' in row) yield { place, fault: row.fault }
    else if (row.cells.length < CELLS_MIN)
      yield { place, fault: `The row has ${row.cells.length} cells, but Firebase writes at least ${CELLS_MIN}` }
    else {
      const value: Fields = {}
      for (const [index, name] of Object.entries(CELLS)) {
        const text = row.cells[Number(index)]?.text
        if (text) value[name] = text
      }
      yield { place, value }
    }
  }
}

function passwordOf({ passwordHash, salt }: Fields, config: HashConfig): ImportedPassword {
  if (passwordHash === undefined || passwordHash === '') return null
  const [digest, saltBytes] = [bytesIn(passwordHash), bytesIn(salt)]
  if (!digest || !saltBytes) return BROKEN_HASH
  const { memoryCost, rounds, separator, signerKey } = config
  const head = `$fbscrypt$v=1,n=${memoryCost},r=${rounds},p=1,ss=${separator},sk=${signerKey}`
  return { hash: `${head}$${saltBytes.toString('base64')}$${digest.toString('base64')}` }
}
