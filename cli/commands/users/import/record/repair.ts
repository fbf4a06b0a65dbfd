import type { ImportLine, ReadRecord, SkippedField } from './record.ts'

/** Maximum length of a name, in Unicode characters. */
const NAME_MAX = 200
/** Fields in which leading and trailing spaces have no meaning. A password is not one of them. */
const TRIMMED = ['id', 'email', 'username', 'status', 'password_hash', 'created_at', 'updated_at'] as const

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same, at the ends
const EDGES = /^[\s\u0000-\u001f\u007f-\u009f]+|[\s\u0000-\u001f\u007f-\u009f]+$/g

/**
 * Repairs what the API would refuse, if that does not change the meaning: spaces around a value are removed, control
 * characters in a name and NUL in metadata become spaces, and a name that is too long is cut. Repairs are reported like
 * skipped fields.
 */
export function repair(record: ReadRecord): ReadRecord {
  if (!('user' in record) || record.user === undefined) return record
  const skipped = new Set<SkippedField>()
  const user = repairUser(record.user, skipped)
  if ('theirs' in record && user.name === '') delete user.name
  if ('fault' in record) return { ...record, user }
  return skipped.size > 0 ? { ...record, user, skipped: [...(record.skipped ?? []), ...skipped] } : { ...record, user }
}

/** Removes spaces and control characters at both ends. */
export function trimmed(text: string): string {
  return text.replace(EDGES, '')
}

function repairUser(line: ImportLine, skipped: Set<SkippedField>): ImportLine {
  const user = { ...line }
  // Some products write null for a user without a password.
  if (user.password === null) delete user.password
  if (user.password_hash === null) delete user.password_hash
  for (const field of TRIMMED) {
    const text = user[field]
    if (typeof text !== 'string') continue
    user[field] = trimmed(text)
    if (user[field] !== text) skipped.add('blanks')
  }
  if (user.username === '') delete user.username
  if (typeof user.status === 'string') user.status = user.status.toLowerCase()
  if (typeof user.name === 'string') user.name = repairName(user.name, skipped)
  for (const field of ['metadata', 'app_metadata'] as const) {
    if (user[field] !== undefined) user[field] = withoutNul(user[field], () => skipped.add('metadata_nul'))
  }
  return user
}

/** Replaces NUL, which no database stores in JSON, by a space in the texts of a JSON value. */
function withoutNul(value: unknown, onFound: () => void): unknown {
  if (typeof value === 'string') {
    if (!value.includes('\0')) return value
    onFound()
    return value.replaceAll('\0', ' ')
  }
  if (Array.isArray(value)) return value.map((item) => withoutNul(item, onFound))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withoutNul(item, onFound)]))
}

function repairName(name: string, skipped: Set<SkippedField>): string {
  const spaced = name.replace(CONTROLS, ' ')
  const withoutControls = spaced === name ? name : trimmed(spaced)
  if (spaced !== name) skipped.add('name_controls')
  const normalized = withoutControls.normalize('NFC')
  const cut = cutAt(normalized, NAME_MAX)
  if (cut !== undefined) skipped.add('name_cut')
  return cut ?? normalized
}

/** Cuts a text to `maxLength` Unicode characters without splitting a grapheme; undefined if the text fits. */
function cutAt(text: string, maxLength: number): string | undefined {
  if (text.length <= maxLength || [...text.slice(0, 2 * maxLength + 1)].length <= maxLength) return undefined
  let cut = ''
  let length = 0
  // A grapheme can have many characters: segment a little more than may be kept.
  for (const { segment } of new Intl.Segmenter().segment(text.slice(0, 4 * maxLength))) {
    length += [...segment].length
    if (length > maxLength) break
    cut += segment
  }
  // The first grapheme alone is longer than the limit.
  return trimmed(cut === '' ? [...text].slice(0, maxLength).join('') : cut)
}
