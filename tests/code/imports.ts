import { dirname, join } from 'node:path'
import { IMPORT_RULES, RESERVED_PACKAGES } from './import-table.ts'

export type ImportKind = 'value' | 'type'

/** Every file may import the name and the version of the program. */
const OPEN_FILE = 'package.json'

const ROOT = join(import.meta.dir, '../..')
/** A file with markup needs another loader: in the others `<T>` begins the parameters of a type. */
const loaderOf = (file: string) => (file.endsWith('.tsx') ? 'tsx' : 'ts')
const transpilers = { ts: new Bun.Transpiler({ loader: 'ts' }), tsx: new Bun.Transpiler({ loader: 'tsx' }) }

const matches = (patterns: string[], path: string) => patterns.some((pattern) => new Bun.Glob(pattern).match(path))
const withoutHashbang = (code: string) => code.replace(/^#!.*/, '')

/** The files of the program itself, as paths from the root. Tests may import what they test. */
export function programFiles(): string[] {
  const files = [...new Bun.Glob('{services,db,cli,client,guard}/**/*.{ts,tsx}').scanSync(ROOT)]
  return files.filter((file) => !/\.(test|d)\.tsx?$/.test(file)).sort()
}

function readProgramFile(file: string): Promise<string> {
  return Bun.file(join(ROOT, file)).text()
}

/** The specifiers in a file: those that Bun sees at run time are values, those that only the text names are types. */
function specifiersOf(file: string, code: string): Map<string, ImportKind> {
  const specifiers = new Map<string, ImportKind>()
  for (const [, path] of code.matchAll(/^(?:import|export)\b[^'"]*?\bfrom\s+['"]([^'"]+)['"]/gm))
    specifiers.set(path as string, 'type')
  for (const [, path] of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) specifiers.set(path as string, 'type')
  for (const { path } of transpilers[loaderOf(file)].scanImports(withoutHashbang(code))) specifiers.set(path, 'value')
  return specifiers
}

/** The imports of a file: packages by name, files by their path from the root. */
function importsOf(file: string, code: string): Map<string, ImportKind> {
  return new Map(
    [...specifiersOf(file, code)].map(([path, kind]) => [
      path.startsWith('.') ? join(dirname(file), path) : path,
      kind,
    ]),
  )
}

/** The one file that calls over HTTP, and decides whether a proxy may see a call. */
const OUTGOING = 'services/kit/outgoing.ts'
/** The client of browsers: its calls are those of a page, through whatever proxy that has. */
const BROWSER_CLIENT = 'client/'
/**
 * Use Node's own client: `guard/direct.ts` because Node's `fetch` has no option against proxies, the other because `fetch`
 * would neither connect to the address that was checked nor leave a compressed answer alone.
 */
const NODE_CLIENTS = ['guard/direct.ts', 'services/kit/outgoing-public.ts']
const CLIENT_PACKAGES = ['http', 'https', 'http2', 'undici'].flatMap((name) => [name, `node:${name}`])

const CALLS = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest', 'Bun.connect', 'Bun.FetchSession']
const CALL_MARK = '__outgoing_call__'
/** Replaces these names where they are the global ones, and not a method or a variable of the file. */
const define = Object.fromEntries(
  [...CALLS, 'globalThis.fetch', 'Bun.fetch', 'self.fetch'].map((name) => [name, CALL_MARK]),
)
const markCalls = {
  ts: new Bun.Transpiler({ loader: 'ts', define }),
  tsx: new Bun.Transpiler({ loader: 'tsx', define }),
}

function callsOutside(file: string, code: string): boolean {
  if (file === OUTGOING || file.startsWith(BROWSER_CLIENT)) return false
  const usesClient = [...specifiersOf(file, code).keys()].some((path) => CLIENT_PACKAGES.includes(path))
  return (
    (usesClient && !NODE_CLIENTS.includes(file)) ||
    markCalls[loaderOf(file)].transformSync(withoutHashbang(code)).includes(CALL_MARK)
  )
}

/** Imports of a file that break the table, one line each. */
export function offences(file: string, code: string): string[] {
  const rule = IMPORT_RULES.find(({ files }) => matches([files], file))
  if (!rule) return [`${file} matches no row of the import table`]
  const refused = [...importsOf(file, code)].flatMap(([target, kind]) => {
    const isPackage = !target.includes('/') || !/\.[a-z]+$/.test(target)
    const isOpen =
      target === OPEN_FILE ||
      (isPackage && !matches(RESERVED_PACKAGES, target)) ||
      /\.(txt|sql|tmpl|md|bash|fish|zsh)$/.test(target)
    const allowed = kind === 'type' ? [...rule.values, ...(rule.types ?? [])] : rule.values
    return isOpen || matches(allowed, target) ? [] : [`${file} imports a ${kind} of ${target}`]
  })
  const opensPort =
    !rule.serves && /\bBun\.serve\b/.test(transpilers[loaderOf(file)].transformSync(withoutHashbang(code)))
  return [
    ...refused,
    ...(opensPort ? [`${file} opens a port`] : []),
    ...(callsOutside(file, code) ? [`${file} calls outside, past ${OUTGOING}`] : []),
  ]
}

export interface ImportGraph {
  /** Each program file with the program files that it imports. */
  files: Map<string, Map<string, ImportKind>>
  offences: string[]
}

/** Reads every file of the program. */
export async function readImports(): Promise<ImportGraph> {
  const paths = programFiles()
  const programPaths = new Set(paths)
  const graph: ImportGraph = { files: new Map(), offences: [] }
  for (const file of paths) {
    const code = await readProgramFile(file)
    const targets = [...importsOf(file, code)].filter(([target]) => programPaths.has(target))
    graph.files.set(file, new Map(targets))
    graph.offences.push(...offences(file, code))
  }
  return graph
}

/**
 * A file's folder. `main.ts`, `index.ts` and `db/open.ts` put other files together, and so stand for themselves: what they
 * import may import the other files of their folder.
 */
export function folderOf(file: string): string {
  return /(^|\/)(main|index|open)\.ts$/.test(file) ? file : dirname(file)
}

/** The imports between folders: what each folder imports of others, types included. */
export function folderImports({ files }: ImportGraph): Map<string, Map<string, ImportKind>> {
  const folders = new Map<string, Map<string, ImportKind>>()
  for (const [file, targets] of files) {
    const folder = folderOf(file)
    const imports = folders.get(folder) ?? new Map<string, ImportKind>()
    folders.set(folder, imports)
    for (const [target, kind] of targets) {
      const other = folderOf(target)
      if (other !== folder && imports.get(other) !== 'value') imports.set(other, kind)
    }
  }
  return folders
}

/**
 * The groups of nodes that reach each other (Tarjan's strongly connected components of more than one node).
 * @param edges each node with those that it points to
 */
export function cycles(edges: ReadonlyMap<string, ReadonlyMap<string, unknown>>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const groups: string[][] = []
  const visit = (node: string) => {
    index.set(node, index.size)
    low.set(node, index.get(node) as number)
    stack.push(node)
    for (const next of edges.get(node)?.keys() ?? []) {
      if (!index.has(next)) visit(next)
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) as number, low.get(next) as number))
    }
    if (low.get(node) !== index.get(node)) return
    const group = stack.splice(stack.indexOf(node))
    if (group.length > 1) groups.push(group.sort())
  }
  for (const node of edges.keys()) if (!index.has(node)) visit(node)
  return groups
}
