/** What a new service and what it keeps are called, in the forms that code has of them. */
export interface Names {
  /** Of the service and of many: `products`. */
  many: string
  /** Of one: `product`. */
  one: string
}

const SHAPE = /^[a-z][a-z0-9]{1,30}$/
/** They mean something else where a service's name stands: in an address, a data directory, the tool. */
const RESERVED = ['all', 'api', 'backups', 'ch202', 'context', 'kit', 'local', 'logs', 'mail', 'one', 'run', 'sync']
/** The words that SQLite takes for no name of a table (lang_keywords.html, tried one by one). */
const SQL =
  'add all alter and as autoincrement between case check collate commit constraint create default deferrable delete distinct drop else escape except exists foreign from group having if in index insert intersect into is isnull join limit not nothing notnull null on or order primary references returning select set table then to transaction union unique update using values when where'

/** One of many, as English makes it: `products` → `product`, `companies` → `company`, `boxes` → `box`. */
export function singular(many: string): string {
  if (/ies$/.test(many) && many.length > 4) return many.replace(/ies$/, 'y')
  if (/(ss|sh|ch|x|z)es$/.test(many)) return many.replace(/es$/, '')
  return many.replace(/(?<=[^s])s$/, '')
}

/** Whether it can't be the name of a table. */
export function isWordOfSql(word: string): boolean {
  return SQL.split(' ').includes(word)
}

/** Why a word can't be a name in the code that is written; undefined where it can. */
export function faultOfWord(word: string, code: readonly string[]): string | undefined {
  if (!SHAPE.test(word)) return 'must be 2 to 31 lower-case letters and digits, beginning with a letter'
  if (RESERVED.includes(word)) return 'is reserved'
  if (isKeyword(word)) return 'is a word of the language'
  // As a name of its own: as that of a property it is in no one's way.
  const used = new RegExp(`(?<![.\\w])(${word}|${capital(word)})\\b(?!\\??:)`)
  return code.some((text) => used.test(text)) ? 'means something else in the code of a service' : undefined
}

function isKeyword(word: string): boolean {
  try {
    new Bun.Transpiler({ loader: 'ts' }).transformSync(`export const ${word} = 1`)
    return false
  } catch {
    return true
  }
}

/** Names in the place of those that the templates have: in code, in tables and in sentences. */
export function renamed(text: string, { many, one }: Names): string {
  const names: Record<string, string> = { product: one, products: many, PRODUCTS: many.toUpperCase() }
  const article = /^[aeiou]/.test(one) ? 'n' : ''
  return text
    .replace(/\b([Aa]) (?=product\b)/g, `$1${article} `)
    .replace(/PRODUCTS|products?|Products?/g, (word) => names[word] ?? capital(names[word.toLowerCase()] ?? ''))
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
