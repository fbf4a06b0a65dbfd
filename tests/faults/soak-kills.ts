import { processes } from '../support/processes.ts'
import { LAYOUTS } from '../support/settings.ts'
import { RACES, repeated } from './races.ts'
import { killRounds } from './rounds.ts'

const goal = {
  rounds: Number(process.env.SOAK_ROUNDS ?? 500),
  acknowledged: Number(process.env.SOAK_WRITES ?? 100_000),
  races: Number(process.env.SOAK_RACES ?? 1000),
}
const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' }
const seed = Number(process.env.SOAK_SEED ?? Date.now())

/**
 * Kills services under load until 100,000 writes are acknowledged, runs each race a thousand times, and prints a line of
 * figures.
 * @returns whether nothing differed
 */
export async function soakKills(): Promise<boolean> {
  const began = performance.now()
  const lines: string[] = []
  const wrong: string[] = []

  for (const layout of LAYOUTS) {
    const part = (total: number) => Math.ceil(total / LAYOUTS.length)
    const system = await processes(layout, env)
    try {
      const { acknowledged, differences, rounds } = await killRounds(
        system,
        seed,
        { rounds: part(goal.rounds), acknowledged: part(goal.acknowledged) },
        (figures) => {
          if (figures.rounds % 25 === 0)
            console.log(
              `${layout}: ${figures.rounds} kills, ${figures.acknowledged} writes, ${figures.differences.length} differ`,
            )
        },
      )
      wrong.push(...differences)
      lines.push(
        `${layout}: ${rounds} kills, ${acknowledged} acknowledged writes, ${differences.length} lost or undone`,
      )
      for (const [name, race] of Object.entries(RACES)) {
        const differing = await repeated(system, race, part(goal.races))
        wrong.push(...differing.map((one) => `${name}: ${one}`))
        console.log(`${layout}: ${name}, ${part(goal.races)} times, ${differing.length} wrong`)
      }
    } finally {
      await system.stop()
    }
  }

  for (const one of wrong.slice(0, 50)) console.log(`✗ ${one}`)
  const minutes = ((performance.now() - began) / 60_000).toFixed(1)
  console.log(
    `${lines.join('; ')}; ${Object.keys(RACES).length} races × ${goal.races}; ${wrong.length} wrong; seed ${seed}; ${minutes} min`,
  )
  return wrong.length === 0
}
