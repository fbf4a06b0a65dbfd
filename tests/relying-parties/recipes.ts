import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../support/tool.ts'

/** The recipes of docs/integrate/relying-parties.md: the tests run what readers copy. */
const PAGE = readFileSync(join(ROOT, 'docs/integrate/relying-parties.md'), 'utf8')

/** The blocks of the page that are files: their first line names them. */
export const FILES: Record<string, string> = Object.fromEntries(
  [...PAGE.matchAll(/^```(?:js|python|apache)\n(?:\/\/|#) (\S+)\n([\s\S]*?)^```$/gm)].map(
    ([, name = '', text = '']) => [name, text],
  ),
)

/** The other blocks of code, which show lines of a program. */
export const EXCERPTS: string[] = [...PAGE.matchAll(/^```(?:js|python|go|java)\n([\s\S]*?)^```$/gm)]
  .map(([, text = '']) => text)
  .filter((text) => !/^(?:\/\/|#) \S+\n/.test(text))

/** The headings of the recipes. */
export const HEADINGS: string[] = [...PAGE.matchAll(/^## (.+)$/gm)].map(([, heading = '']) => heading)

/** The command of a recipe that creates its client. @throws Error if the recipe has none */
export function commandOf(heading: string): string {
  const [, recipe = ''] = PAGE.split(`\n## ${heading}\n`)
  const [section = ''] = recipe.split('\n## ')
  const command = /^```sh\n(ch202 clients create [\s\S]*?)^```$/m.exec(section)?.[1]
  if (command === undefined) throw new Error(`"${heading}" has no command that creates a client`)
  return command.trim()
}

/** Writes the files of the page into a directory. @param parent where: inside the project imports find its packages */
export function writeRecipes(parent: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(parent, '.generated-'))
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(path, name), text)
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
