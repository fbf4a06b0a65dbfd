import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs'
import { compiled, inCheckout } from '../executable.ts'

const GROUP_WRITABLE = 0o020
const OTHERS_WRITABLE = 0o002

/**
 * Whether another user controls a file or directory: it belongs neither to this user nor to root, or others can write to
 * it. Write access for the user's own group is accepted, since it is Debian's default. A missing path is not foreign.
 */
export function isForeign(path: string): boolean {
  const entries = [lstatSync(path, { throwIfNoEntry: false }), statSync(path, { throwIfNoEntry: false })]
  return entries.some((entry) => entry !== undefined && othersControl(entry))
}

function othersControl(entry: Stats): boolean {
  const user = process.geteuid?.()
  // Windows has no user ids to compare.
  if (user === undefined) return false
  const { gid, mode, uid } = entry
  if (uid !== user && uid !== 0) return true
  // The mode of a symbolic link has no meaning.
  if (entry.isSymbolicLink()) return false
  return (mode & OTHERS_WRITABLE) !== 0 || ((mode & GROUP_WRITABLE) !== 0 && gid !== process.getegid?.())
}

/** Whether the working directory is the checkout that the tool runs from, which is trusted like its code. */
export function isInOwnCheckout(): boolean {
  return !compiled && realpathSync(process.cwd()) === realpathSync(inCheckout())
}
