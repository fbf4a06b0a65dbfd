import { type Check, failed, ok, skipped, warning } from './check.ts'

/** Milliseconds between the clock of a service and ours; a Date header has a resolution of one second. */
const DIFFERENCE_MAX = 5000
/** Milliseconds that a row may be ahead of our clock. */
const AHEAD_MAX = 60_000

export const clockChecks: Check[] = [
  {
    id: 'clock.services',
    describes: 'the services have the same time as this tool',
    async run(context) {
      const dates = (await context.services()).flatMap(({ health }) => health?.date ?? [])
      if (dates.length === 0) return skipped('No service reports its time')
      const difference = Math.max(...dates.map((date) => Math.abs(date - context.now)))
      if (difference <= DIFFERENCE_MAX) return ok('The services have the same time')
      return warning(`The services are ${Math.round(difference / 1000)} s off from the time here`, 'timedatectl')
    },
  },
  {
    id: 'clock.rows',
    describes: 'no row in the databases has a time in the future: the clock was not set back',
    run(context) {
      const latest = context.files.flatMap(({ name }) => {
        try {
          return [context.open(name).latest()]
        } catch {
          // Another check reports a database that cannot be opened.
          return []
        }
      })
      if (latest.length === 0) return skipped('No database can be read')
      const ahead = Math.max(...latest) - context.now
      if (ahead <= AHEAD_MAX) return ok('The clock is not behind the data')
      return failed(
        `There are rows from ${new Date(context.now + ahead).toISOString()}, in the future: the clock was set back`,
        'timedatectl',
      )
    },
  },
]
