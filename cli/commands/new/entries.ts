import { type Names, renamed } from './names.ts'

/** Lines that a service has in a file of all services. */
export interface Entry {
  path: string
  lines: string[]
  place: Place
}

/** Where they go: in their order among the imports, at the end, or before the first line of a kind after another. */
type Place = 'import' | 'end' | { after: RegExp; before: RegExp }

/** Between the line that opens a list and the one that closes it. */
const list = (after: RegExp, before = /^[}\]]/): Place => ({ after, before })
/** Before the first line of that kind. */
const above = (before: RegExp): Place => ({ after: /^/, before })

const READ = 'created_at description id name owner_id updated_at'

/** Each of a file, with the lines as they are for a service `products`. The last are rows of the tests' tables. */
const ENTRIES: [path: string, place: Place, ...lines: string[]][] = [
  ['Procfile', 'end', 'products: bun cli/main.ts serve products'],
  [
    'README.md',
    list(/^\| `AUTH_URL`/, /^\| `CH202_URL`/),
    '| `PRODUCTS_URL` | `http://127.0.0.1:PORT` | where it listens and where the others find it |',
  ],
  ['cli/commands/package/published.ts', list(/^const PARAMETERS/), '  product_id: UUID,'],
  ['db/sqlite/backup/create.ts', list(/^const MAIN_TABLES/), `  products: ['products'],`],
  ['db/sqlite/databases.ts', 'import', `import { productsMigrations } from './migrations/products.ts'`],
  ['db/sqlite/databases.ts', list(/^const MIGRATIONS/), '  products: productsMigrations,'],
  ['db/sqlite/backup/reconcile.ts', 'import', `import * as products from '../../products/restored.ts'`],
  ['db/sqlite/backup/reconcile.ts', list(/^const FORGETTING/), '  products: products.forgetUsers,'],
  ['services/documentation.ts', 'import', `import { productsRoutes } from './products/index.ts'`],
  [
    'services/documentation.ts',
    list(/^export function documentation/, /^ {2}}\)$/),
    '    ...documentedPaths({ routes: productsRoutes(UNUSED, guarded) }),',
  ],
  [
    'services/kit/http/openapi/document.ts',
    list(/^const TAGS/, /^ {2}discovery:/),
    `  products: 'What users keep as products',`,
  ],
  [
    'services/kit/problem.ts',
    list(/^const PROBLEMS/, /^ {2}method_not_allowed:/),
    `  product_not_found: [404, 'Product not found'],`,
  ],
  [
    'services/kit/services.ts',
    list(/^export const SERVICES/),
    `  products: { number: NUMBER, hears: ['user.deleted'] },`,
  ],
  ['services/serve.ts', 'import', `import { productsService } from './products/main.ts'`],
  ['services/serve.ts', list(/^const BUILD/), '  products: productsService,'],

  ['services/kit/process/config.test.ts', list(/^const ADDRESSES/), `  products: 'http://127.0.0.1:PORT',`],
  [
    'tests/openapi/operations.ts',
    list(/^const CODES/, /^ {2}'GET \/api\/v1\/health\/db'/),
    `  'POST /api/v1/products': 'user_not_found',`,
    ...['GET', 'PATCH', 'DELETE'].map((method) => `  '${method} /api/v1/products/{product_id}': 'product_not_found',`),
  ],
  ['tests/support/owned.ts', list(/^export const OWNED/), `  ['product_id', 'products'],`],
  [
    'tests/code/schema.test.ts',
    'import',
    `import { productsMigrations } from '../../db/sqlite/migrations/products.ts'`,
  ],
  ['tests/code/schema.test.ts', 'import', `import * as productsSchema from '../../db/schema/products.ts'`],
  [
    'tests/code/schema.test.ts',
    list(/^const databases/),
    '  {',
    `    name: 'products',`,
    '    migrations: productsMigrations,',
    '    schema: productsSchema,',
    '  },',
  ],
  [
    'tests/security/answers.test.ts',
    list(/^const ANSWERS/, /^ {2}'GET \/api\/v1\/health'/),
    `  'GET /api/v1/products': page('${READ}'),`,
    `  'POST /api/v1/products': '${READ}',`,
    `  'GET /api/v1/products/{product_id}': '${READ}',`,
    `  'PATCH /api/v1/products/{product_id}': '${READ}',`,
    `  'DELETE /api/v1/products/{product_id}': NOTHING,`,
    `  'POST /api/v1/products/sync/user-deleted': NOTHING,`,
  ],
  [
    'tests/security/policy.ts',
    above(/^ {2}GET +\/health /),
    '  GET    /products                                 401 200 200 200 200 403',
    '  POST   /products                                 401 201 201 201 403 403',
    '  GET    /products/{product_id}                    401 404 200 200 200 403',
    '  PATCH  /products/{product_id}                    401 404 200 200 200 403',
    '  DELETE /products/{product_id}                    401 404 204 204 204 403',
    '  POST   /products/sync/user-deleted               401 403 403 403 403 204',
    '',
  ],
  ['tests/security/world.ts', list(/^const TABLES/), `  products: ['products', 'deleted_users'],`],
]

/** @param number of the new service, as `services/kit/services.ts` counts them */
export function entriesFor(names: Names, number: number): Entry[] {
  const filled = (line: string) =>
    renamed(line, names)
      .replace('NUMBER', String(number))
      .replace('PORT', String(3000 + number))
  return ENTRIES.map(([path, place, ...lines]) => ({
    path,
    place,
    lines: lines.map(filled).map(aligned).flatMap(asLinted),
  }))
}

/** Of the columns of README's table of settings. */
const WIDTHS = [54, 40, 74]

/** The columns of a table whose first holds a path: names are of any length. */
function aligned(line: string): string {
  if (line.startsWith('| ')) {
    const [, ...cells] = line.split('|').slice(0, -1)
    return `|${cells.map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0)).join('|')}|`
  }
  const [, call, statuses] = /^( {2}[A-Z]+ +\/\S+) +(\d{3} .*)$/.exec(line) ?? []
  return call && statuses ? `${call.padEnd(49)}  ${statuses}` : line
}

/** A property that is too long for a line has its value in the next: as the linter wants it. */
function asLinted(line: string): string[] {
  const parts = /^( *)(\S.*'): (.*)$/.exec(line)
  if (line.length <= 120 || !parts) return [line]
  const [, space, key, value] = parts
  return [`${space}${key}:`, `${space}  ${value}`]
}

/** The file with the lines in it; undefined where the place for them is not there. */
export function withEntry(text: string, { lines, place }: Entry): string | undefined {
  const all = text.split('\n')
  const at = placeIn(all, place, lines[0] ?? '')
  return at === undefined ? undefined : [...all.slice(0, at), ...lines, ...all.slice(at)].join('\n')
}

/** The file without the lines; undefined where they are not there as they were put, or not once. */
export function withoutEntry(text: string, { lines }: Entry): string | undefined {
  const all = text.split('\n')
  const starts = all.flatMap((_, at) => (lines.every((line, ahead) => all[at + ahead] === line) ? [at] : []))
  const [start, ...more] = starts
  if (start === undefined || more.length > 0) return undefined
  return [...all.slice(0, start), ...all.slice(start + lines.length)].join('\n')
}

function placeIn(all: readonly string[], place: Place, line: string): number | undefined {
  if (place === 'end') return all.at(-1) === '' ? all.length - 1 : undefined
  if (place === 'import') return importPlace(all, line)
  const start = all.findIndex((one) => place.after.test(one))
  const end = all.findIndex((one, at) => at > start && place.before.test(one))
  return start < 0 || end < 0 ? undefined : end
}

/** In the linter's order, among the imports of as near a directory. */
function importPlace(all: readonly string[], line: string): number | undefined {
  const path = pathOf(line)
  const near = all.flatMap((_, at) => {
    const found = statementAt(all, at)
    return found && distance(found.path) === distance(path) ? [{ at, ...found }] : []
  })
  return near.find((one) => inOrder(path, one.path))?.at ?? near.at(-1)?.end
}

/** An import that begins at a line: what of, and the line after it. */
function statementAt(all: readonly string[], at: number): { path: string; end: number } | undefined {
  if (!all[at]?.startsWith('import ')) return undefined
  const last = all.findIndex((line, place) => place >= at && / from '[^']+'/.test(line))
  return last < 0 ? undefined : { path: pathOf(all[last] ?? ''), end: last + 1 }
}

function pathOf(line: string): string {
  return / from '([^']+)'/.exec(line)?.[1] ?? ''
}

function distance(path: string): string {
  return /^(\.\.?\/)*/.exec(path)?.[0] ?? ''
}

/** Numbers in names by their value. */
function inOrder(one: string, other: string): boolean {
  const [parts, others] = [partsOf(one), partsOf(other)]
  const at = parts.findIndex((part, place) => part !== others[place])
  const [part = '', against = ''] = [parts[at], others[at]]
  return /^\d+$/.test(part) && /^\d+$/.test(against) ? Number(part) < Number(against) : part < against
}

function partsOf(path: string): string[] {
  return path.match(/\d+|\D/g) ?? []
}
