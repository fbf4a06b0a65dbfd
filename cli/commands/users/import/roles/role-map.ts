import { readFileSync } from 'node:fs'
import { usage } from '../../../../exit.ts'
import { plain } from '../../../../terminal/terminal.ts'
import { isRole, type RoleMap } from './role-names.ts'

/**
 * Reads `--role-map`: `theirs=OURS`, or without a `=` the name of a file with such lines or a JSON object.
 * @throws Failure that names the error
 */
export function readRoleMap(options: readonly string[]): RoleMap {
  const map = new Map<string, string>()
  for (const option of options)
    for (const [theirs, ours] of option.includes('=') ? [pairIn(option)] : pairsIn(option)) {
      if (!isRole(ours))
        throw usage(
          `--role-map: ${quote(ours)} is not a valid role: use A to Z, 0 to 9 and _, at most 32 characters, starting with a letter`,
        )
      if (map.has(theirs) && map.get(theirs) !== ours) throw usage(`--role-map names ${quote(theirs)} twice`)
      map.set(theirs, ours)
    }
  return [...map]
}

/** Splits a line at its last `=`, since our roles contain none, and trims both sides (`editor = EDITOR`). */
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
    throw usage(`--role-map takes theirs=OURS or a file with such lines, and there is no file ${path}`)
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
