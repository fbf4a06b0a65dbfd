import { Database } from 'bun:sqlite'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { as, call } from '../support/http.ts'
import type { Name } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { Writer } from './ledger.ts'

const NAMES = ['auth', 'users', 'modules'] as const
const WRITERS = 16
const MODULE = 'faults'
/** Writes in a round, unless the caller says how many. */
const WRITES = 50
const LONGEST_ROUND = 20_000

/** Random numbers that a seed reproduces (mulberry32), so that a failed run can be repeated. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export interface Figures {
  rounds: number
  acknowledged: number
  differences: string[]
}

/**
 * Kills the instance with SIGKILL under sixteen writers, round after round, and compares it after each restart with the
 * answers that the writers got.
 * @param goal least number of rounds and of acknowledged writes
 */
export async function killRounds(
  system: System,
  seed: number,
  goal: { rounds: number; acknowledged?: number },
  tell: (figures: Figures) => void = () => undefined,
): Promise<Figures> {
  const random = seeded(seed)
  const module = { id: MODULE, name: 'Faults', description: 'What the writers switch' }
  await call(system.url.modules, 'POST /api/v1/modules', { headers: as.operator, body: module })
  const writers = Array.from({ length: WRITERS }, () => new Writer(system, random, MODULE))
  const acknowledged = () => writers.reduce((sum, writer) => sum + writer.acknowledged, 0)
  const aRound = (goal.acknowledged ?? goal.rounds * WRITES) / goal.rounds
  const figures: Figures = { rounds: 0, acknowledged: 0, differences: [] }
  while (figures.rounds < goal.rounds || figures.acknowledged < (goal.acknowledged ?? 0)) {
    let stopped = false
    const writing = writers.map((writer) => writer.write(() => stopped))
    // The kill comes early or late: on average after as many writes as a round should have.
    const enough = figures.acknowledged + 2 * random() * aRound
    for (const end = performance.now() + LONGEST_ROUND; acknowledged() < enough && performance.now() < end; )
      await Bun.sleep(1 + random() * 10)
    const victims = random() < 0.3 ? [...NAMES] : [NAMES[Math.floor(random() * NAMES.length)] ?? 'auth']
    await Promise.all(victims.map((name) => system.kill(name)))
    stopped = true
    await Promise.all(writing)
    figures.differences.push(...damaged(system.dataDir, victims))
    await Promise.all(victims.map((name) => system.start(name)))
    const differences = await Promise.all(writers.map((writer) => writer.differences()))
    figures.differences.push(...differences.flat().map((one) => `round ${figures.rounds}: ${one}`))
    figures.rounds++
    figures.acknowledged = acknowledged()
    tell(figures)
  }
  return figures
}

/** Damage that SQLite finds in a copy of the files after the kill. */
function damaged(dataDir: string, names: readonly Name[]): string[] {
  const copy = mkdtempSync(join(tmpdir(), 'ch202-killed-'))
  try {
    return names.flatMap((name) => {
      for (const end of ['', '-wal'])
        if (existsSync(join(dataDir, `${name}.sqlite${end}`)))
          copyFileSync(join(dataDir, `${name}.sqlite${end}`), join(copy, `${name}.sqlite${end}`))
      const database = new Database(join(copy, `${name}.sqlite`))
      const result = database.query<{ integrity_check: string }, []>('PRAGMA integrity_check').get()?.integrity_check
      database.close()
      return result === 'ok' ? [] : [`${name}: ${result}`]
    })
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
