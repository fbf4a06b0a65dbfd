import { join } from 'node:path'

/** Whether the tool runs as the executable that `ch202 package binary` builds. */
export const compiled = Bun.isStandaloneExecutable

/** A path in the checkout that the tool runs from. */
export function inCheckout(...parts: string[]): string {
  return join(import.meta.dir, '..', ...parts)
}
