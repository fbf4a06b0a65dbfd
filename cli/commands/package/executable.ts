import { join } from 'node:path'

/** Whether this is the one executable that `package binary` made. */
export const compiled = Bun.isStandaloneExecutable

/** A path in the checkout that the tool runs from. */
export function inCheckout(...parts: string[]): string {
  return join(import.meta.dir, '..', '..', '..', ...parts)
}
