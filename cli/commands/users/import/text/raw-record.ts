/** The fields of a record, with the names that its product gives them. */
export type Fields = Record<string, unknown>

/** A record as the file contains it, or why it cannot be read. `place`: its line, or its number in a JSON document. */
export type RawRecord = { place: number; value: Fields } | { place: number; fault: string }
