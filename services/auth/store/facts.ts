/** Single values that the service must remember, by name. */
export interface FactStore {
  fact(name: string): Promise<string | null>
  setFact(name: string, value: string): Promise<void>
  /** Writes and reads a value. @throws when either fails */
  probe(): Promise<void>
}
