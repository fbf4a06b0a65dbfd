import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs'
import { compiled, inCheckout } from '../executable.ts'

const GROUP_WRITABLE = 0o020
const OTHERS_WRITABLE = 0o002

/**
 * Whether someone else decides what a file or directory holds: it belongs neither to this user nor to root, or others
 * may write it. The user's own group may, as Debian has it by default. What is not there belongs to no one.
 */
export function isForeign(path: string): boolean {
  const entries = [lstatSync(path, { throwIfNoEntry: false }), statSync(path, { throwIfNoEntry: false })]
  return entries.some((entry) => entry !== undefined && isOfOthers(entry))
}

function isOfOthers(entry: Stats): boolean {
  const user = process.geteuid?.()
  // Where there are no users, there is nothing to compare.
  if (user === undefined) return false
  const { gid, mode, uid } = entry
  if (uid !== user && uid !== 0) return true
  // A link has no mode of its own.
  if (entry.isSymbolicLink()) return false
  return (mode & OTHERS_WRITABLE) !== 0 || ((mode & GROUP_WRITABLE) !== 0 && gid !== process.getegid?.())
}

/** Whether the tool runs from a checkout and is called in it: that directory is trusted as the code in it is. */
export function isInOwnCheckout(): boolean {
  return !compiled && realpathSync(process.cwd()) === realpathSync(inCheckout())
}
