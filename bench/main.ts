import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { betterAuth } from './cases/better-auth.ts'
import { processes } from './cases/processes.ts'
import { requests } from './cases/requests.ts'
import { scale } from './cases/scale.ts'
import { isMet, type Result, type Scale } from './measure.ts'
import { pictureOf } from './picture.ts'
import { CORES, run } from './processes.ts'
import { markdownOf, missed, tableOf, withTable } from './table.ts'

// Measures Ch202 against what this machine can do at all, in the same run:
//   bun run bench [--quick] [--only requests,scale,processes,better-auth] [--rounds 5] [--seconds 3]

const CASES = { requests, processes, scale, 'better-auth': betterAuth }
/** What a minute has room for. */
const QUICK = ['requests']

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
  },
})
const wanted = values.only?.split(',') ?? (values.quick ? QUICK : Object.keys(CASES))
const how: Scale = values.quick
  ? { quick: true, rounds: 1, seconds: 1 }
  : { quick: false, rounds: Number(values.rounds), seconds: Number(values.seconds) }

const unknown = wanted.find((name) => !(name in CASES))
if (unknown !== undefined || !(how.rounds >= 1) || !(how.seconds > 0)) {
  console.error(`bun run bench [--quick] [--only ${Object.keys(CASES).join(',')}] [--rounds 5] [--seconds 3]`)
  process.exit(2)
}

const began = performance.now()
const results: Result[] = []
for (const [name, measure] of Object.entries(CASES)) {
  if (!wanted.includes(name)) continue
  const folder = mkdtempSync(join(tmpdir(), 'ch202-bench-'))
  try {
    console.error(`${name} …`)
    results.push(...(await measure(how, folder)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

console.log(tableOf(results))
const short = missed(results)
console.log(
  short.length === 0
    ? '\nEvery goal is met'
    : `\n${short.length} missed:\n${short.map((one) => `  ${one}`).join('\n')}`,
)
console.log(`${Math.round((performance.now() - began) / 1000)} s`)

// Part of it, or a glance at it, is nothing to keep.
if (!values.quick && values.only === undefined) {
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} cores, ${process.platform}, Bun ${Bun.version}`
  const at = new Date().toISOString().slice(0, 10)
  const kept = results.map((result) => ({ ...result, met: isMet(result) }))
  writeFileSync(
    join(import.meta.dir, 'results.json'),
    `${JSON.stringify({ at, machine, cores: CORES, results: kept }, undefined, 2)}\n`,
  )
  writeFileSync(join(import.meta.dir, 'results.svg'), pictureOf(results, `${machine}; ${at}`))
  const page = join(import.meta.dir, '../docs/operate/performance.md')
  const told = `${machine}; ${at}; ${how.rounds} rounds.`
  writeFileSync(page, withTable(readFileSync(page, 'utf8'), markdownOf(results, told)))
  await run([process.execPath, 'x', 'biome', 'format', '--write', page, join(import.meta.dir, 'results.json')])
}
