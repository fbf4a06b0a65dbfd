import { type Check, failed, ok, skipped, warning } from './check.ts'

/** Milliseconds. A Date header counts whole seconds. */
const APART = 5000
const AHEAD = 60_000

export const clockChecks: Check[] = [
  {
    id: 'clock.services',
    looksAt: 'the services read the same time as this tool',
    async look(scene) {
      const dates = (await scene.services()).flatMap(({ health }) => health?.date ?? [])
      if (dates.length === 0) return skipped('No service tells its time')
      const apart = Math.max(...dates.map((date) => Math.abs(date - scene.now)))
      if (apart <= APART) return ok('The services read the same time')
      return warning(`The services are ${Math.round(apart / 1000)} s away from the time here`, 'timedatectl')
    },
  },
  {
    id: 'clock.rows',
    looksAt: 'nothing in the databases is of the future: the clock was not set back',
    look(scene) {
      const there = scene.files.flatMap(({ name }) => {
        try {
          return [scene.open(name).latest()]
        } catch {
          // What can't be opened has a check of its own.
          return []
        }
      })
      if (there.length === 0) return skipped('No database can be looked at')
      const ahead = Math.max(...there) - scene.now
      if (ahead <= AHEAD) return ok('The clock is not behind the data')
      return failed(
        `There are rows of ${new Date(scene.now + ahead).toISOString()}, which is in the future: the clock was set back`,
        'timedatectl',
      )
    },
  },
]
