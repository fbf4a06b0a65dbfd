import { existsSync } from 'node:fs'
import type { Trait } from '../support/postgres/shared.ts'
import { ROOT } from '../support/tool.ts'

/** Tests that run in a process of their own, `times` times. */
export interface Part {
  name: string
  /** Tells it from the other parts of the name. */
  label?: string
  /** Properties of the databases. Without `npm` the server is Debian's. */
  traits: readonly Trait[]
  /** Argument of `bun test`. */
  files: string
  times?: number
  /** More variables of a run. */
  env?(): Record<string, string>
}

const SERVER = '/usr/lib/postgresql/15/bin/postgres'
/** Milliseconds after which a run is ended. */
const LIMIT = 2 * 3_600_000
/** Acknowledged writes while commits break, and those of one run. */
const WRITES = Number(process.env.SOAK_WRITES ?? 20_000)
const RUN = Math.min(WRITES, 2000)

let seed = Number(process.env.SOAK_SEED ?? Date.now())
const nextSeed = () => ({ CUT_SEED: String(seed++), CUT_WRITES: String(RUN) })

const STORES: Trait[][] = [
  [],
  ['npm'],
  ['pooler'],
  ['serializable'],
  ['slow'],
  ['unprivileged'],
  ['npm', 'pooler', 'serializable'],
  ['pooler', 'slow'],
]
const CONTRACT: Trait[][] = [[], ['npm'], ['pooler'], ['serializable'], ['slow'], ['unprivileged']]
const COMMITS: Trait[][] = [[], ['serializable']]
/** Files of `tests/cluster`, over the balancer of the tests and over Caddy. */
const CLUSTER = ['cluster', 'contract', 'documents', 'revocation', 'refresh', 'limits', 'keys', 'deliveries']
/** Files of `tests/cluster` with faults or servers of their own, over the balancer of the tests. */
const FAULTS = ['slice', 'faults', 'deliveries-with-faults', 'failover', 'patroni', 'previous-version']

/** Files of `tests/nodes` that take long; the suite runs the others. */
const NODES = ['deliveries', 'key-rotation', 'limits', 'mails', 'module-feed', 'outbox']

/** Files of which the suite runs a slice (`tests/support/whole.ts`), beside those that are in other parts. */
const WHOLE = [
  'cli/backup',
  'cli/backup-bucket',
  'cli/clients',
  'cli/completion',
  'cli/doctor',
  'cli/failures',
  'cli/first-start',
  'cli/help',
  'cli/import-scripts',
  'cli/new-service',
  'cli/package/nodes',
  'cli/package/prometheus',
  'cli/pipes',
  'cli/start',
  'cli/tables',
  'cli/users',
  'cli/users-import',
  'client/tabs',
  'cluster/failover',
  'code/traps.slow',
  'contract/foreign-hashes.slow',
  'contract/issuer.slow',
  'contract/metrics.slow',
  'docs/adding-a-service',
  'faults/damage',
  'faults/erasure',
  'faults/events',
  'faults/full-disk',
  'faults/kills',
  'faults/named-points',
  'faults/races',
  'faults/revocation-promise',
  'faults/schedules',
  'faults/session-model',
  'faults/sigterm',
  'fuzz/fuzz',
  'guard/services',
  'mail/pictures',
  'mail/service',
  'nodes/key-changes',
  'nodes/revocation',
  'openapi/conformance',
  'openapi/page',
  'processes/amqp',
  'processes/upgrade',
  'security/access',
  'security/algorithm-change',
  'security/api-keys',
  'security/app-scopes',
  'security/app-tokens',
  'security/audit',
  'security/authorization',
  'security/enumeration',
  'security/environment',
  'security/erasure',
  'security/factors',
  'security/factors-beside-logins',
  'security/foreign-directory',
  'security/foreign-fields',
  'security/foreign-verifiers',
  'security/headers',
  'security/known-addresses',
  'security/paths',
  'security/pre-hijacking',
  'security/proxies',
  'security/reset',
  'security/scopes',
  'security/secrets',
  'security/signing-keys',
  'security/support-persons',
  'security/tokens',
  'security/ways-in',
  'web/accessibility',
  'web/attacks/enumeration',
  'web/attacks/in-chromium',
  'web/attacks/return-to',
  'web/console',
  'web/factors',
  'web/interruptions',
  'web/journeys',
  'web/oauth',
  'web/passkeys',
  'web/pictures',
]

/** Parts of `bun run soak --postgres`. */
export const PARTS: readonly Part[] = [
  ...STORES.map((traits) => ({ name: 'stores', traits, files: 'tests/stores' })),
  ...CONTRACT.map((traits) => ({ name: 'contract', traits, files: './tests/contract/on-postgres.slow.test.ts' })),
  { name: 'documents', traits: [], files: './tests/documents/on-postgres.soak.ts' },
  { name: 'security', traits: [], files: './tests/security/on-postgres.soak.ts' },
  ...WHOLE.map((file): Part => ({ name: 'whole', label: file, traits: [], files: `./tests/${file}.test.ts` })),
  { name: 'whole', label: 'imported-hash', traits: [], files: './services/kit/passwords/imported-hash.slow.test.ts' },
  { name: 'whole', label: 'processes/login', traits: [], files: './tests/processes/login.soak.ts' },
  { name: 'field', traits: [], files: './tests/code/user-field.soak.ts' },
  // Has SQLite files first, and then a database.
  { name: 'everything', traits: [], files: './tests/faults/everything.soak.ts' },
  ...['on-postgres', 'postgres-move', 'postgres-failures'].map(
    (subject): Part => ({ name: 'tool', label: subject, traits: [], files: `./tests/cli/${subject}.soak.ts` }),
  ),
  ...NODES.map(
    (subject): Part => ({ name: 'nodes', label: subject, traits: [], files: `./tests/nodes/${subject}.soak.ts` }),
  ),
  { name: 'bucket', traits: [], files: './tests/cli/backup-moto.soak.ts' },
  ...['roles', 'encodings', 'repairs', 'django'].map(
    (subject): Part => ({
      name: 'imports',
      label: subject,
      traits: [],
      files: `./tests/cli/import-${subject}.soak.ts`,
    }),
  ),
  ...COMMITS.map((traits) => ({
    name: 'commits',
    traits,
    files: './tests/faults/cut-commits.test.ts',
    times: Math.ceil(WRITES / RUN),
    env: nextSeed,
  })),
  { name: 'faults', traits: [], files: 'tests/faults/postgres', times: 10 },
  { name: 'faults', traits: ['pooler'], files: './tests/faults/postgres.test.ts' },
  ...['tests', 'caddy'].flatMap((balancer) =>
    CLUSTER.map(
      (file): Part => ({
        name: 'cluster',
        label: balancer === 'tests' ? file : `${file} behind Caddy`,
        traits: [],
        files: `./tests/cluster/${file}.soak.ts`,
        env: () => ({ CH202_TEST_BALANCER: balancer }),
      }),
    ),
  ),
  ...FAULTS.map(
    (file): Part => ({ name: 'cluster', label: file, traits: [], files: `./tests/cluster/${file}.soak.ts` }),
  ),
]

/**
 * Runs the parts, one after the other, and prints a line for each and one for all. The output of a run that failed is
 * printed in full, with the command that repeats it.
 * @returns whether everything passed, and nothing was skipped
 */
export async function soakPostgres(parts: readonly Part[]): Promise<boolean> {
  const began = performance.now()
  let passed = 0
  let failed = 0
  for (const part of parts) {
    const counts = await runPart(part)
    passed += counts.passed
    failed += counts.failed
  }
  console.log(`${parts.length} parts: ${passed} passed, ${failed} failed, ${secondsSince(began)} s`)
  return failed === 0
}

interface Counts {
  passed: number
  failed: number
}

async function runPart({ env = () => ({}), files, label, name, times = 1, traits }: Part): Promise<Counts> {
  const began = performance.now()
  const counts = { passed: 0, failed: 0 }
  const figures: Record<string, number> = {}
  for (let run = 0; run < times; run++) {
    const variables = { CH202_TESTS: 'whole', CH202_TEST_POSTGRES: traits.join(), ...env() }
    const result = await runTests(files, variables, traits.includes('npm'))
    counts.passed += result.passed
    counts.failed += result.failed
    for (const [label, value] of figuresIn(result.output)) figures[label] = (figures[label] ?? 0) + value
    if (result.failed === 0) continue
    const words = Object.entries(variables).map(([variable, value]) => `${variable}=${value}`)
    console.log(`${result.output}\nTo repeat it: ${words.join(' ')} bun test --timeout=120000 ${files}`)
  }
  const line = [name, ...(label === undefined ? [] : [label]), ...traits].join(' ') + (times > 1 ? ` × ${times}` : '')
  const sums = Object.entries(figures).map(([label, value]) => `, ${value} ${label}`)
  console.log(`${line}: ${counts.passed} passed, ${counts.failed} failed${sums.join('')}, ${secondsSince(began)} s`)
  return counts
}

async function runTests(files: string, env: Record<string, string>, isNpm: boolean) {
  // Without Debian's server the tests would take that of the npm package.
  if (!isNpm && !existsSync(SERVER))
    return { passed: 0, failed: 1, output: `${SERVER} is missing: apt-get install postgresql-15` }
  const command = ['sh', '-c', 'exec "$0" "$@" 2>&1', process.execPath, 'test', '--timeout=120000', files]
  const child = Bun.spawn(command, { cwd: ROOT, env: { ...process.env, ...env }, timeout: LIMIT, stdin: 'ignore' })
  const output = await new Response(child.stdout).text()
  const isDone = (await child.exited) === 0
  const count = (word: string) => Number(output.match(new RegExp(`^ +(\\d+) ${word}$`, 'm'))?.[1] ?? 0)
  const passed = count('pass')
  const failed = count('fail') + count('skip') + count('todo')
  return { passed, failed: isDone && passed > 0 ? failed : Math.max(failed, 1), output }
}

/** The numbers in the lines `figures: 12 of this, 3 of that` of an output. */
function figuresIn(output: string): [label: string, value: number][] {
  return [...output.matchAll(/^figures: (.*)$/gm)].flatMap(([, line = '']) =>
    [...line.matchAll(/(\d+) ([^,]+)/g)].map(([, value, label = '']): [string, number] => [label, Number(value)]),
  )
}

function secondsSince(began: number): string {
  return ((performance.now() - began) / 1000).toFixed(0)
}
