import { type Complaint, mistyped, notAllowed } from '../field-errors.ts'
import { checked } from './schema.ts'

/** An object of any JSON values. */
export type JsonObject = Record<string, unknown>

interface ObjectLimits {
  /** Bytes of its JSON in UTF-8. */
  bytes: number
  /** Objects and arrays within each other, the object itself included. */
  levels: number
}

/** A field that holds any JSON object within the limits. */
export function jsonObject(limits: ObjectLimits, documentation: { description: string; examples: JsonObject[] }) {
  return checked<JsonObject>({ ...documentation, type: 'object' }, (value) => complaintOf(value, limits))
}

const NOT_AN_OBJECT = mistyped('an object')
const ILL_FORMED: Complaint = {
  code: 'pattern',
  message: 'must not have NUL or lone surrogates in the name of a field',
}
const NOT_A_NUMBER = notAllowed('must not contain a number that is too large for a double (RFC 8259, 6)')

function complaintOf(value: unknown, { bytes, levels }: ObjectLimits): Complaint | undefined {
  if (!isObject(value)) return NOT_AN_OBJECT
  return (
    complaintWithin(value, levels, levels) ??
    (Buffer.byteLength(JSON.stringify(value)) > bytes
      ? { code: 'too_large', message: `must not be larger than ${bytes} bytes of JSON`, limit: bytes }
      : undefined)
  )
}

/** @param remaining levels that the value may still have */
function complaintWithin(value: unknown, remaining: number, levels: number): Complaint | undefined {
  // JSON.parse reads 1e999 as Infinity, and JSON.stringify would write that as null.
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : NOT_A_NUMBER
  if (typeof value !== 'object' || value === null) return undefined
  if (remaining === 0)
    return { code: 'too_many', message: `must not be nested deeper than ${levels} levels`, limit: levels }
  for (const [name, field] of Object.entries(value)) {
    if (!name.isWellFormed() || name.includes('\0')) return ILL_FORMED
    const complaint = complaintWithin(field, remaining - 1, levels)
    if (complaint) return complaint
  }
  return undefined
}

/**
 * Merges a patch into a value (JSON Merge Patch, RFC 7396): null removes a field, an object is merged into the field of
 * its name, any other value replaces it. Neither argument is changed. Names such as `__proto__` are names like any other.
 */
export function mergePatch(target: unknown, patch: JsonObject): JsonObject {
  const merged = new Map(isObject(target) ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch))
    if (value === null) merged.delete(name)
    else merged.set(name, isObject(value) ? mergePatch(merged.get(name), value) : value)
  return Object.fromEntries(merged)
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
