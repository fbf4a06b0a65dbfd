import { readFileSync } from 'node:fs'
import { join } from 'node:path'
// The parser of TypeScript 5: version 7 has no API yet.
import ts from 'typescript-5'
import { EXCEPTIONS, FIRST_WORDS, NAMES, WORDS } from './word-table.ts'

const ROOT = join(import.meta.dir, '../..')

interface Text {
  line: number
  text: string
}

const isExcepted = (file: string, text: string) =>
  EXCEPTIONS.some(({ files, text: pattern }) => new Bun.Glob(files).match(file) && pattern.test(text))

function lineOf(source: ts.SourceFile, position: number): number {
  return source.getLineAndCharacterOfPosition(position).line + 1
}

/** The comments of a file, each once. */
function commentsOf(source: ts.SourceFile): Text[] {
  const code = source.text
  const comments = new Map<number, Text>()
  const add = (ranges: ts.CommentRange[] | undefined) => {
    for (const { end, pos } of ranges ?? [])
      comments.set(pos, { line: lineOf(source, pos), text: code.slice(pos, end) })
  }
  const visit = (node: ts.Node) => {
    add(ts.getLeadingCommentRanges(code, node.getFullStart()))
    add(ts.getTrailingCommentRanges(code, node.getEnd()))
    ts.forEachChild(node, visit)
  }
  visit(source)
  return [...comments.values()]
}

/** The texts between quotes, and the variables, parameters and destructured names. */
function stringsAndNames(source: ts.SourceFile): { strings: Text[]; names: Text[] } {
  const strings: Text[] = []
  const names: Text[] = []
  const visit = (node: ts.Node) => {
    if (
      ts.isStringLiteralLike(node) ||
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddle(node) ||
      ts.isTemplateTail(node)
    ) {
      const isPath = node.parent && (ts.isImportDeclaration(node.parent) || ts.isExportDeclaration(node.parent))
      if (!isPath) strings.push({ line: lineOf(source, node.getStart(source)), text: node.text })
    }
    if (
      (ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node)) &&
      ts.isIdentifier(node.name)
    )
      names.push({ line: lineOf(source, node.getStart(source)), text: node.name.text })
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { strings, names }
}

function wordsIn(file: string, { line, text }: Text): string[] {
  return WORDS.flatMap(({ pattern, say }) => {
    const match = pattern.exec(text)?.[0]
    return match === undefined ? [] : [`${file}:${line} "${match}": say ${say}`]
  })
}

/** The first word of a JSDoc comment, or nothing when it begins with a tag or a name in code. */
function firstWord(comment: string): string | undefined {
  return /^\/\*\*\s*(?:\*\s*)?([A-Z][a-z]+)\b/.exec(comment)?.[1]
}

/** Offences of a source file against the table, one line each. */
export function wordOffences(file: string, code: string): string[] {
  const source = ts.createSourceFile(file, code, ts.ScriptTarget.Latest, true)
  const comments = commentsOf(source)
  const { names, strings } = stringsAndNames(source)
  const texts = [...comments, ...strings].filter(({ text }) => !isExcepted(file, text))
  return [
    ...texts.flatMap((text) => wordsIn(file, text)),
    ...comments.flatMap(({ line, text }) => {
      const word = firstWord(text)
      return word !== undefined && FIRST_WORDS.has(word) && !isExcepted(file, text)
        ? [`${file}:${line} a comment begins with "${word}": begin with a verb or the noun`]
        : []
    }),
    ...names.flatMap(({ line, text }) =>
      NAMES.has(text) && !isExcepted(file, text) ? [`${file}:${line} the name \`${text}\` says nothing`] : [],
    ),
  ]
}

/** The same for a page or a template: its lines are texts. */
export function pageOffences(file: string, page: string): string[] {
  return page.split('\n').flatMap((text, at) => (isExcepted(file, text) ? [] : wordsIn(file, { line: at + 1, text })))
}

/** Every file that people read, as paths from the root. */
function readableFiles(): { code: string[]; pages: string[] } {
  const scan = (pattern: string) => [...new Bun.Glob(pattern).scanSync({ cwd: ROOT })].sort()
  return {
    code: scan('{services,db,cli,client,guard,bench,tests,docs}/**/*.{ts,tsx}').filter(
      (file) => !file.includes('/.generated/'),
    ),
    pages: [
      ...scan('docs/**/*.md'),
      ...scan('cli/**/*.tmpl'),
      'README.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
      'CHANGELOG.md',
    ],
  }
}

export function allWordOffences(): string[] {
  const { code, pages } = readableFiles()
  const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
  return [
    ...code.flatMap((file) => wordOffences(file, read(file))),
    ...pages.flatMap((file) => pageOffences(file, read(file))),
  ]
}
