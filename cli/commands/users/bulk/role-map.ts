import { readFileSync } from 'node:fs'
import { usage } from '../../../exit.ts'
import { plain } from '../../../terminal/terminal.ts'
import { isRole, type RoleMap } from './role-names.ts'

/**
 * What `--role-map` says: `theirs=OURS`, or a file of such lines (or of a JSON object) where there is no `=`.
 * @throws Failure that names what is wrong
 */
export function readRoleMap(options: readonly string[]): RoleMap {
  const map = new Map<string, string>()
  for (const option of options)
    for (const [theirs, ours] of option.includes('=') ? [pairIn(option)] : pairsIn(option)) {
      if (!isRole(ours))
        throw usage(
          `--role-map: ${quote(ours)} is no role here: A to Z, 0 to 9 and _, at most 32, beginning with a letter`,
        )
      if (map.has(theirs) && map.get(theirs) !== ours) throw usage(`--role-map names ${quote(theirs)} twice`)
      map.set(theirs, ours)
    }
  return [...map]
}

/** At the last `=`: a role of ours has none. Blanks around either are no part of it, as in `editor = EDITOR`. */
function pairIn(line: string): [string, string] {
  const at = line.lastIndexOf('=')
  if (line.slice(0, Math.max(0, at)).trim() === '') throw usage(`--role-map: ${quote(line)} is not theirs=OURS`)
  return [line.slice(0, at).trim(), line.slice(at + 1).trim()]
}

function pairsIn(path: string): [string, string][] {
  let text: string
  try {
    text = readFileSync(path, 'utf8').replace(/^\ufeff/, '')
  } catch {
    throw usage(`--role-map takes theirs=OURS or a file of such lines, and there is no file ${path}`)
  }
  if (text.trimStart().startsWith('{')) return pairsInJson(text, path)
  return text
    .split(/\r\n|\r|\n/)
    .filter((line) => line.trim() !== '')
    .map(pairIn)
}

function pairsInJson(text: string, path: string): [string, string][] {
  try {
    const pairs = Object.entries(JSON.parse(text) as Record<string, unknown>)
    return pairs.map(([theirs, ours]) => [theirs.trim(), String(ours).trim()])
  } catch {
    throw usage(`--role-map: ${path} is not valid JSON`)
  }
}

function quote(text: string): string {
  return plain(JSON.stringify(text.slice(0, 100)))
}
