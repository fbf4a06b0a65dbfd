import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { betterAuth } from './cases/better-auth.ts'
import { bursts } from './cases/bursts.ts'
import { clients } from './cases/clients.ts'
import { factors } from './cases/factors.ts'
import { nodes } from './cases/nodes.ts'
import { oauth } from './cases/oauth.ts'
import { pages } from './cases/pages.ts'
import { postgres } from './cases/postgres.ts'
import { processes } from './cases/processes.ts'
import { requests } from './cases/requests.ts'
import { scale } from './cases/scale.ts'
import { type BenchOptions, isMet, type Result } from './measure.ts'
import { pictureOf } from './picture.ts'
import { CORES, run } from './processes.ts'
import { markdownOf, missed, tableOf, withTable } from './table.ts'

// Measures Ch202 against the limits of this machine, in the same run:
//   bun run bench [--quick] [--only requests,factors,bursts,clients,oauth,processes,scale,pages,postgres,nodes,better-auth] [--rounds 5] [--seconds 3]

const CASES = {
  requests,
  factors,
  bursts,
  clients,
  oauth,
  processes,
  scale,
  pages,
  postgres,
  nodes,
  'better-auth': betterAuth,
}
/** The cases of a quick run, which takes a minute. */
const QUICK = ['requests']

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
  },
})
const selected = values.only?.split(',') ?? (values.quick ? QUICK : Object.keys(CASES))
const benchOptions: BenchOptions = values.quick
  ? { quick: true, rounds: 1, seconds: 1 }
  : { quick: false, rounds: Number(values.rounds), seconds: Number(values.seconds) }

const unknown = selected.find((name) => !(name in CASES))
if (unknown !== undefined || !(benchOptions.rounds >= 1) || !(benchOptions.seconds > 0)) {
  console.error(`bun run bench [--quick] [--only ${Object.keys(CASES).join(',')}] [--rounds 5] [--seconds 3]`)
  process.exit(2)
}

const startedAt = performance.now()
const results: Result[] = []
for (const [name, measure] of Object.entries(CASES)) {
  if (!selected.includes(name)) continue
  const folder = mkdtempSync(join(tmpdir(), 'ch202-bench-'))
  try {
    console.error(`${name} …`)
    results.push(...(await measure(benchOptions, folder)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

console.log(tableOf(results))
const misses = missed(results)
console.log(
  misses.length === 0
    ? '\nEvery goal is met'
    : `\n${misses.length} missed:\n${misses.map((miss) => `  ${miss}`).join('\n')}`,
)
console.log(`${Math.round((performance.now() - startedAt) / 1000)} s`)

// Only a full run is recorded.
if (!values.quick && values.only === undefined) {
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores, ${process.platform}, Bun ${Bun.version}`
  const date = new Date().toISOString().slice(0, 10)
  const recorded = results.map((result) => ({ ...result, met: isMet(result) }))
  writeFileSync(
    join(import.meta.dir, 'results.json'),
    `${JSON.stringify({ at: date, machine, cores: CORES, results: recorded }, undefined, 2)}\n`,
  )
  writeFileSync(join(import.meta.dir, 'results.svg'), pictureOf(results, `${machine}; ${date}`))
  const page = join(import.meta.dir, '../docs/operate/performance.md')
  const caption = `${machine}; ${date}; ${benchOptions.rounds} rounds.`
  writeFileSync(page, withTable(readFileSync(page, 'utf8'), markdownOf(results, caption)))
  await run([process.execPath, 'x', 'biome', 'format', '--write', join(import.meta.dir, 'results.json')])
}
