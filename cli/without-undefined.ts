/** The fields that have a value: what was not asked for is left out. */
export function withoutUndefined<T extends object>(fields: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  const there = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(there) as { [Name in keyof T]?: Exclude<T[Name], undefined> }
}
