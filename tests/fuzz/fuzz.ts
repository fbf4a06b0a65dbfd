/**
 * Sends requests generated from the OpenAPI document, `bun run fuzz`: a million, or `--requests`. `--seed` begins
 * where another run began; with `--path`, `--layout` and `--limits` as a failure has printed them, that one request is made
 * again. Ends with a summary; the exit status is 1 when an answer was not as documented.
 */
import { parseArgs } from 'node:util'
import { LAYOUTS, type Layout } from '../support/settings.ts'
import { fuzz, noFigures, type Outcome, type Plan } from './run.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    path: { type: 'string' },
    layout: { type: 'string' },
    limits: { type: 'boolean', default: false },
  },
})
const requests = Number(values.requests)
const seed = Number(values.seed)
const layout = LAYOUTS.find((name) => name === values.layout)
if (!Number.isSafeInteger(requests) || !Number.isSafeInteger(seed) || (values.layout && !layout)) {
  console.error(`bun run fuzz [--requests N] [--seed S] [--layout together | --layout apart] [--limits] [--path P]`)
  process.exit(2)
}

const plan = (layout: Layout, part: number, limits = false): Plan => ({
  layout,
  limits,
  requests: Math.ceil(requests * part),
  seed,
  ...(values.path === undefined ? {} : { path: values.path }),
})
const plans =
  layout || values.path
    ? [plan(layout ?? 'together', 1, values.limits)]
    : [plan('together', 0.45), plan('apart', 0.45), plan('together', 0.1, true)]

const PROGRESS = 10_000
const MIB = 2 ** 20
/** In MiB: by how much the memory of the processes may grow after the first part. */
const GROWTH = 128
const inMib = ({ early, late }: Outcome['memory']) =>
  `memory ${Math.round(early / MIB)} MiB, at the end ${Math.round(late / MIB)} MiB`
const began = performance.now()
const figures = noFigures()
const seconds = () => Math.round((performance.now() - began) / 1000)
const timer = setInterval(
  () =>
    console.log(`${seconds()} s: ${figures.requests} requests, ${Math.round(figures.requests / seconds())} a second`),
  PROGRESS,
)
console.log(`seed ${seed}`)
const failures: string[] = []
for (const each of plans) {
  const { failures: newFailures, memory } = await fuzz(each, figures)
  failures.push(...newFailures)
  if (memory.late - memory.early > GROWTH * MIB) failures.push(`${each.layout} has grown, ${inMib(memory)}`)
  const label = `${each.layout}${each.limits ? ', with limits' : ''}`
  console.log(`${label}: ${inMib(memory)}`)
}
clearInterval(timer)

const sorted = (counted: Map<string | number, number>) =>
  [...counted]
    .sort(([a], [b]) => String(a).localeCompare(String(b)))
    .map(([name, count]) => `${name}: ${count}`)
    .join(', ')
for (const failure of failures) console.log(`✗ ${failure}`)
console.log(`by kind: ${sorted(figures.byKind)}`)
console.log(`by status: ${sorted(figures.byStatus)}`)
console.log(`${figures.requests} requests, ${failures.length} failures, seed ${seed}, ${seconds()} s`)
process.exitCode = failures.length === 0 ? 0 : 1
