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
/** In a round, where no one says how many. */
const WRITES = 50
const LONGEST_ROUND = 20_000

/** Numbers that a seed gives again (mulberry32), so that a run that failed can be run once more. */
function seeded(seed: number): () => number {
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
 * Sixteen writers, and SIGKILL in the middle of it, round after round: after each the instance is held against what the
 * writers were told.
 * @param goal of rounds, and of writes that were acknowledged, at least
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
    // Sometimes early, sometimes late: on the average as many writes as are wanted of a round.
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

/** What SQLite finds wrong with the files as the kill has left them; looked at in a copy. */
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
