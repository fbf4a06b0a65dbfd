import type { ImportLine, ImportRecord } from '../record/record.ts'
import { type Bytes, textLines } from '../text/text-lines.ts'

const MALFORMED = 'The line is not a JSON object'
const TOO_DEEP = 'The record is nested too deeply'
/** Maximum depth that the API accepts; far deeper, and JSON.stringify would overflow the stack. */
export const DEPTH_MAX = 32

/**
 * Reads JSON lines: the output of `users export`, users to create, or lines of an errors file, of which only the record
 * is used.
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
    return isErrorsLine(value) ? value.record : value
  } catch {
    // The parser's own message quotes the line, which may contain a password.
    return undefined
  }
}

function isErrorsLine(value: object): value is { record: ImportLine } {
  return 'place' in value && 'code' in value && 'record' in value && typeof value.record === 'object'
}

/** Whether objects and arrays are nested more than so many levels deep. */
export function isDeeper(value: object, depth: number): boolean {
  if (depth === 0) return true
  for (const one of Object.values(value))
    if (typeof one === 'object' && one !== null && isDeeper(one, depth - 1)) return true
  return false
}
