import { cycles, folderImports, folderOf, readImports } from './imports.ts'
import { allWordOffences } from './words.ts'

/**
 * Prints the folders of the program with their imports. Fails on an import that the table of imports does not allow, and
 * on a word that the table of words replaces.
 */
const graph = await readImports()
const folders = folderImports(graph)
const counts = new Map<string, number>()
for (const file of graph.files.keys()) {
  const folder = folderOf(file)
  counts.set(folder, (counts.get(folder) ?? 0) + 1)
}
console.log('Folders (files) and what they import; types in parentheses')
for (const [folder, imports] of folders) {
  const list = [...imports].sort().map(([name, kind]) => (kind === 'type' ? `(${name})` : name))
  console.log(`${folder} (${counts.get(folder)})${list.length > 0 ? ` ← ${list.join(', ')}` : ''}`)
}
const problems = [
  ...graph.offences,
  ...cycles(graph.files).map((group) => `files import each other: ${group.join(', ')}`),
  ...cycles(folders).map((group) => `folders import each other: ${group.join(', ')}`),
  ...allWordOffences(),
]
for (const problem of problems) console.error(problem)
console.log(`${graph.files.size} files in ${folders.size} folders, ${problems.length} offences`)
if (problems.length > 0) process.exitCode = 1
