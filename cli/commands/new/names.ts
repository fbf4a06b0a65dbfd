/** The names of a new service and of the things that it stores. */
export interface Names {
  /** The service, and several of its things: `products`. */
  many: string
  /** One of its things: `product`. */
  one: string
}

const SHAPE = /^[a-z][a-z0-9]{1,30}$/
/** Names with another meaning in a path, in the data directory, in the folders of the program or in the tool. */
const RESERVED = ['all', 'api', 'backups', 'ch202', 'context', 'kit', 'local', 'logs', 'mail', 'one', 'run', 'sync']
/** The keywords that SQLite or PostgreSQL refuses as the name of a table, tried one by one. */
const SQL_KEYWORDS =
  'add all alter analyse analyze and any array as asc asymmetric authorization autoincrement between binary both case cast check collate collation column commit concurrently constraint create cross default deferrable delete desc distinct do drop else end escape except exists false fetch for foreign freeze from full grant group having if ilike in index initially inner insert intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not nothing notnull null offset on only or order outer overlaps placing primary references returning right select set similar some symmetric table tablesample then to trailing transaction true union unique update user using values variadic verbose when where window with'

/** The singular of an English plural: `products` → `product`, `companies` → `company`, `boxes` → `box`. */
export function singular(many: string): string {
  if (/ies$/.test(many) && many.length > 4) return many.replace(/ies$/, 'y')
  if (/(ss|sh|ch|x|z)es$/.test(many)) return many.replace(/es$/, '')
  return many.replace(/(?<=[^s])s$/, '')
}

/** Whether SQLite or PostgreSQL refuses the word as the name of a table. */
export function isSqlKeyword(word: string): boolean {
  return SQL_KEYWORDS.split(' ').includes(word)
}

/**
 * Gives the reason why a word can't be a name in the generated code; undefined when it can.
 * @param code the code of the templates
 */
export function nameFault(word: string, code: readonly string[]): string | undefined {
  if (!SHAPE.test(word)) return 'must be 2 to 31 lower-case letters and digits, beginning with a letter'
  if (RESERVED.includes(word)) return 'is reserved'
  if (isKeyword(word)) return 'is a keyword of TypeScript'
  // Only as a name by itself: the name of a property does not conflict.
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

/** Replaces the names of the templates by those of a service: in code, in SQL and in sentences. */
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
