import type { ImportLine, ImportRecord } from '../record/record.ts'
import { type Bytes, textLines } from '../text/text-lines.ts'

const MALFORMED = 'The line is not a JSON object'
const TOO_DEEP = 'The record is nested too deeply'
/** What the API takes. Far deeper, and no one could write it down again. */
export const DEPTH_MAX = 32

/**
 * Our own lines: what `users export` writes, or a user to make. A line of an errors file is one too: what it says
 * beside its record is passed over.
 */
export async function* jsonl(source: Bytes): AsyncGenerator<ImportRecord> {
  for await (const line of textLines(source)) {
    const place = line.line
    if ('fault' in line) yield { place, fault: line.fault }
    else if (line.text.trim() !== '') {
      const user = objectOf(line.text)
      if (!user) yield { place, fault: MALFORMED }
      else yield isDeeper(user, DEPTH_MAX) ? { place, fault: TOO_DEEP } : { place, user }
    }
  }
}

function objectOf(text: string): ImportLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return isOfErrorsFile(value) ? value.record : value
  } catch {
    // The parser's own message quotes the line, which may hold a password.
    return undefined
  }
}

function isOfErrorsFile(value: object): value is { record: ImportLine } {
  return 'place' in value && 'code' in value && 'record' in value && typeof value.record === 'object'
}

/** Whether objects and arrays are nested more than so many levels deep. */
export function isDeeper(value: object, depth: number): boolean {
  if (depth === 0) return true
  for (const one of Object.values(value))
    if (typeof one === 'object' && one !== null && isDeeper(one, depth - 1)) return true
  return false
}
