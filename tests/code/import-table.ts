import { SERVICE_NAMES } from '../../services/registry.ts'

/**
 * A row says what files may import. A file falls under the first row whose `files` match it; imports that its row does
 * not list are refused.
 * `bun run lint` and `tests/code/imports.test.ts` read this table, CONTRIBUTING.md shows it. Patterns are globs.
 */
export interface ImportRule {
  files: string
  /** Files and packages of which values may be imported, and so types too. */
  values: string[]
  /** Files and packages of which only types may be imported. */
  types?: string[]
  /** Whether the files may open a port. */
  serves?: true
}

const ELYSIA = ['elysia', '@elysiajs/!(eden)']
/** Builds statements. */
const QUERIES = ['drizzle-orm', 'drizzle-orm/**']
const SQL = [...QUERIES, 'bun:sqlite']
/** Connects to PostgreSQL (`SQL`). */
const POSTGRES = ['bun']
const EDEN = ['@elysiajs/eden', '@elysiajs/eden/**']

/** Packages that only the rows naming them may import. All others are open to every file. */
export const RESERVED_PACKAGES = [...ELYSIA, 'elysia/**', ...SQL, ...POSTGRES, ...EDEN, 'drizzle-kit', 'drizzle-kit/**']

/** The layers of `services/kit`: a folder imports its own layer's folder and the layers before it, never a later one. */
const KIT_LAYERS = [
  [''],
  ['process', 'schema', 'nodes'],
  ['passwords', 'tokens'],
  ['outbox', 'feed', 'messages'],
  ['access'],
  ['http'],
]
const KIT_BASE = 'services/kit/*.ts'

function kitFolders(upTo: number): string[] {
  return KIT_LAYERS.slice(0, upTo).flatMap((folders) =>
    folders.map((folder) => (folder === '' ? KIT_BASE : `services/kit/${folder}/**`)),
  )
}

/** All of kit. */
const KIT = 'services/kit/**'
/** Kit without HTTP: what functions, stores and the guard's core may use. */
const PLAIN_KIT = kitFolders(KIT_LAYERS.length - 1)

const kitRules: ImportRule[] = KIT_LAYERS.flatMap((folders, layer) =>
  folders.map((folder): ImportRule => {
    const files = folder === '' ? KIT_BASE : `services/kit/${folder}/**`
    const values = [files, ...kitFolders(layer)]
    if (folder === 'http')
      return { files, values: [...values, ...ELYSIA, 'node_modules/@scalar/**'], types: POSTGRES, serves: true }
    if (folder === 'schema') return { files, values: [...values, ...ELYSIA] }
    return { files, values }
  }),
)

/** Rules without input or output that a store calls inside its transaction. */
const pureRules = (name: string) =>
  `services/${name}/{sessions/{rotation,ending},accounts/sync-rules,audit/erasure-rules,challenges/only-one,dependencies,last-admin,reservations}.ts`

/** The public API as pages call it. Pages have no other way to a service. */
const API_OF_PAGES = 'services/peers/pages.ts'

const serviceRules: ImportRule[] = SERVICE_NAMES.flatMap((name): ImportRule[] => {
  const serviceFolder = `services/${name}`
  /** Another service's types: the shapes of its answers, and what it needs of others. */
  const ofOthers = ['services/*/peers.ts', 'services/*/schemas/**', ...(name === 'web' ? [API_OF_PAGES] : [])]
  return [
    {
      files: `${serviceFolder}/main.ts`,
      values: [`${serviceFolder}/**`, KIT, `db/${name}/store.ts`, ...ELYSIA],
      types: name === 'web' ? [API_OF_PAGES] : [],
      serves: true,
    },
    {
      files: `${serviceFolder}/{index,routes/**}.ts`,
      values: [`${serviceFolder}/!(main).*`, `${serviceFolder}/*/**`, KIT, ...ELYSIA],
      types: ofOthers,
    },
    {
      files: pureRules(name),
      values: [pureRules(name), ...PLAIN_KIT],
      types: [`${serviceFolder}/store/**`, `${serviceFolder}/store.ts`],
    },
    { files: `${serviceFolder}/schemas/**`, values: [`${serviceFolder}/schemas/**`, ...PLAIN_KIT, ...ELYSIA] },
    { files: `${serviceFolder}/store/**`, values: [`${serviceFolder}/store/**`, ...PLAIN_KIT] },
    {
      files: `${serviceFolder}/**`,
      values: [`${serviceFolder}/!(main|index).*`, `${serviceFolder}/!(routes|schemas)/**`, ...PLAIN_KIT],
      types: [`${serviceFolder}/schemas/**`, ...ofOthers],
    },
  ]
})

/** The interface of an engine, which is all that a store sees of a database, and the error that an operator sees. */
const BASE = ['db/{engine,database-error}.ts']

const databaseRules: ImportRule[] = [
  { files: 'db/schema/**', values: ['db/schema/**', ...PLAIN_KIT, ...QUERIES], types: ['services/*/store/**'] },
  { files: 'db/sqlite/migrations/**', values: ['db/sqlite/migrations/**', 'db/schema/**', ...PLAIN_KIT, ...SQL] },
  { files: 'db/sqlite/backup/**', values: ['db/**', 'services/databases.ts', ...PLAIN_KIT, ...SQL] },
  {
    files: 'db/sqlite/inspect/**',
    values: ['db/sqlite/{,inspect/,migrations/}*.ts', 'db/schema/**', ...PLAIN_KIT, ...SQL],
  },
  {
    files: 'db/sqlite/*',
    values: ['db/sqlite/{,migrations/}*.ts', 'db/schema/**', ...BASE, ...PLAIN_KIT, ...SQL],
    types: ['db/postgres/migrate.ts'],
  },
  // Copies an installation from one kind of database to the other.
  { files: 'db/move/**', values: ['db/**', ...PLAIN_KIT, ...SQL], types: POSTGRES },
  // Reads what `doctor` and `backup verify` report, in the words that they have for files.
  {
    files: 'db/postgres/inspect/**',
    values: ['db/postgres/{,inspect/}*.ts', 'db/schema/**', ...BASE, ...PLAIN_KIT],
    types: ['db/sqlite/{,backup/,inspect/}*.ts', ...POSTGRES],
  },
  { files: 'db/postgres/migrations/**', values: ['db/postgres/migrations/**'], types: ['db/postgres/migrate.ts'] },
  {
    files: 'db/postgres/*',
    values: ['db/postgres/{,migrations/}*.ts', 'db/storable-text.ts', ...BASE, ...PLAIN_KIT, ...QUERIES, ...POSTGRES],
  },
  ...SERVICE_NAMES.flatMap((name): ImportRule[] => {
    const values = [
      `db/${name}/**`,
      'db/*.ts',
      `db/schema/${name}.ts`,
      'db/schema/{audit-chain,audit-erasure,login-attempts,refused-logins,unchained-audit}.ts',
      pureRules(name),
      ...PLAIN_KIT,
      ...QUERIES,
    ]
    const types = [`services/${name}/store/**`, `services/${name}/store.ts`]
    return [
      // Opens the store, and so names its migrations for each kind of database. The other files know neither kind.
      { files: `db/${name}/store.ts`, values: [...values, `db/{sqlite,postgres}/migrations/${name}.ts`], types },
      { files: `db/${name}/**`, values, types },
    ]
  }),
  {
    files: 'db/open.ts',
    // Tables that every schema of PostgreSQL has.
    values: [...BASE, 'db/{sqlite,postgres}/*.ts', 'db/schema/{nodes,subscribers}.ts', ...QUERIES],
    types: ['db/sqlite/migrations/migration.ts'],
  },
  { files: 'db/*', values: ['db/!(open).ts', ...PLAIN_KIT, ...QUERIES] },
]

/** The list of all services, and what is derived from it. */
const REGISTRY = 'services/{registry,databases}.ts'

/**
 * The tool's own layers: the terminal knows no server, the client no command. `runner` starts services and `tool` is what
 * commands are made of; neither knows a command.
 */
const toolRules: ImportRule[] = [
  { files: 'cli/terminal/**', values: ['cli/!(main).ts', 'cli/terminal/**', KIT] },
  {
    files: 'cli/client/**',
    // `durable.ts` makes a renamed file survive a power cut, credentials too.
    values: [
      'cli/!(main).ts',
      'cli/{terminal,client}/**',
      'services/peers/**',
      REGISTRY,
      'db/sqlite/durable.ts',
      KIT,
      ...EDEN,
    ],
    types: ['services/*/index.ts'],
  },
  {
    files: 'cli/runner/**',
    // Reads what a start needs to know of the databases before any service runs.
    values: ['cli/!(main).ts', 'cli/{terminal,client,runner}/**', 'db/{sqlite,postgres}/inspect/*.ts', REGISTRY, KIT],
  },
  { files: 'cli/tool/**', values: ['cli/!(main).ts', 'cli/{terminal,client,tool}/**', KIT] },
  {
    files: 'cli/**',
    values: [
      'cli/**',
      'services/{serve,documentation}.ts',
      'services/peers/**',
      REGISTRY,
      'services/users/recovery.ts',
      'services/auth/keys/sealing.ts',
      'services/auth/mail/texts/texts.ts',
      'services/auth/factors/totp.ts',
      KIT,
      'db/**',
      ...EDEN,
    ],
    types: ['services/*/index.ts'],
  },
]

export const IMPORT_RULES: ImportRule[] = [
  ...kitRules,
  ...serviceRules,
  {
    files: 'services/peers/**',
    values: ['services/peers/**', KIT, ...EDEN],
    types: ['services/*/{index,peers}.ts', 'services/auth/mail/transport.ts'],
  },
  {
    files: 'services/registry.ts',
    values: [
      'services/*/{main,index,v0,routes/v0}.ts',
      'db/{sqlite,postgres}/migrations/*.ts',
      'db/schema/*.ts',
      'db/*/restored.ts',
    ],
    types: ['services/peers/**', 'db/sqlite/database-file.ts', KIT],
  },
  {
    files: 'services/databases.ts',
    values: ['services/registry.ts'],
    types: ['db/sqlite/database-file.ts'],
  },
  {
    files: 'services/{serve,combined-app,router,run-files,documentation}.ts',
    values: ['services/*.ts', 'services/peers/**', KIT, ...ELYSIA],
    types: ['services/auth/mail/transport.ts', ...POSTGRES],
    serves: true,
  },
  ...databaseRules,
  { files: 'guard/elysia.ts', values: ['guard/settings.ts', 'elysia'], types: ['guard/*.ts', ...PLAIN_KIT] },
  // Runs in browsers: nothing of the services, and no package.
  { files: 'client/**', values: ['client/**'] },
  {
    files: 'guard/**',
    values: ['guard/!(elysia).ts', ...PLAIN_KIT.filter((folder) => folder !== 'services/kit/process/**')],
  },
  ...toolRules,
]
