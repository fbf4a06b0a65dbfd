import { type Names, renamed } from './names.ts'

/** Lines that a service has in a file of the program. */
export interface Entry {
  path: string
  lines: string[]
  /** The line that they are inserted before. */
  before: RegExp
}

export const REGISTRY = 'services/registry.ts'

/** The entries of a service `products`: everything else that the program needs to know follows from these. */
const ENTRIES: Entry[] = [
  {
    path: REGISTRY,
    // The place among the imports does not matter: the formatter sorts them.
    before: /^import /,
    lines: [`import { productsMigrations } from '../db/sqlite/migrations/products.ts'`],
  },
  {
    path: REGISTRY,
    before: /^import /,
    lines: [`import { productsMigrations as productsOnPostgres } from '../db/postgres/migrations/products.ts'`],
  },
  {
    path: REGISTRY,
    before: /^\} as const satisfies Record<string, ServiceDescriptor>$/,
    lines: [
      '  products: {',
      '    number: NUMBER,',
      `    tags: { products: 'The products of users' },`,
      `    subscribesTo: ['user.deleted'],`,
      '    database: {',
      '      migrations: productsMigrations,',
      '      postgres: productsOnPostgres,',
      `      schema: () => import('../db/schema/products.ts'),`,
      `      mainTables: ['products'],`,
      `      restored: () => import('../db/products/restored.ts'),`,
      '    },',
      `    load: async () => (await import('./products/main.ts')).productsService,`,
      '    documentedRoutes: async (guard) => ({',
      `      routes: (await import('./products/index.ts')).productsRoutes(UNUSED, guard),`,
      '    }),',
      '  },',
    ],
  },
  {
    path: 'services/kit/problem.ts',
    before: /^ {2}method_not_allowed:/,
    lines: [`  product_not_found: [404, 'Product not found'],`],
  },
  // The empty line after the last line break.
  { path: 'Procfile', before: /^$/, lines: ['products: bun cli/main.ts serve products'] },
]

/** @param number of the service: its default port is 3000 plus the number */
export function entriesFor(names: Names, number: number): Entry[] {
  return ENTRIES.map(({ lines, ...place }) => ({
    ...place,
    lines: lines.map((line) => renamed(line, names).replace('NUMBER', String(number))),
  }))
}

/** Inserts the lines of an entry; undefined when the file has no place for them. */
export function withEntry(text: string, { before, lines }: Entry): string | undefined {
  const all = text.split('\n')
  const at = all.findIndex((line) => before.test(line))
  return at < 0 ? undefined : all.toSpliced(at, 0, ...lines).join('\n')
}

/** Removes the lines of an entry; undefined when they are not there exactly once. */
export function withoutEntry(text: string, { lines }: Entry): string | undefined {
  const all = text.split('\n')
  const starts = all.flatMap((_, at) => (lines.every((line, ahead) => all[at + ahead] === line) ? [at] : []))
  const [start, ...more] = starts
  return start === undefined || more.length > 0 ? undefined : all.toSpliced(start, lines.length).join('\n')
}
