import type { ImportLine, Left, ReadRecord } from './record.ts'

/** What the API takes of a name. */
const NAME_MAX = 200
/** Texts in which blanks at the ends mean nothing. A password is none of them. */
const TRIMMED = ['id', 'email', 'username', 'status', 'password_hash', 'created_at', 'updated_at'] as const

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same, at the ends
const EDGES = /^[\s\u0000-\u001f\u007f-\u009f]+|[\s\u0000-\u001f\u007f-\u009f]+$/g

/**
 * Repairs what the API would refuse, where that changes no meaning: blanks around a text, control characters in a name
 * (they become a blank) and a name that is too long (it is cut). What was repaired is counted with what was left behind.
 */
export function repaired(record: ReadRecord): ReadRecord {
  if (!('user' in record) || record.user === undefined) return record
  const left = new Set<Left>()
  const user = repairedUser(record.user, left)
  if ('theirs' in record && user.name === '') delete user.name
  if ('fault' in record) return { ...record, user }
  return left.size > 0 ? { ...record, user, left: [...(record.left ?? []), ...left] } : { ...record, user }
}

/** A text without the blanks and control characters around it. */
export function trimmed(text: string): string {
  return text.replace(EDGES, '')
}

function repairedUser(line: ImportLine, left: Set<Left>): ImportLine {
  const user = { ...line }
  // Others write it so where there is none.
  if (user.password === null) delete user.password
  if (user.password_hash === null) delete user.password_hash
  for (const field of TRIMMED) {
    const text = user[field]
    if (typeof text !== 'string') continue
    user[field] = trimmed(text)
    if (user[field] !== text) left.add('blanks')
  }
  if (user.username === '') delete user.username
  if (typeof user.status === 'string') user.status = user.status.toLowerCase()
  if (typeof user.name === 'string') user.name = repairedName(user.name, left)
  return user
}

function repairedName(name: string, left: Set<Left>): string {
  const plain = name.replace(CONTROLS, ' ')
  const shown = plain === name ? name : trimmed(plain)
  if (plain !== name) left.add('name_controls')
  const whole = shown.normalize('NFC')
  const cut = cutAt(whole, NAME_MAX)
  if (cut !== undefined) left.add('name_cut')
  return cut ?? whole
}

/** A text of at most so many Unicode characters, cut before the one that people see as one; undefined where it fits. */
function cutAt(text: string, most: number): string | undefined {
  if (text.length <= most || [...text.slice(0, 2 * most + 1)].length <= most) return undefined
  let cut = ''
  let length = 0
  // A grapheme may be of many characters: as much is looked at as may be kept, and a little more.
  for (const { segment } of new Intl.Segmenter().segment(text.slice(0, 4 * most))) {
    length += [...segment].length
    if (length > most) break
    cut += segment
  }
  // One grapheme longer than all that is allowed.
  return trimmed(cut === '' ? [...text].slice(0, most).join('') : cut)
}
