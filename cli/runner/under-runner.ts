/** Stands in the environment of a process whose standard input the runner holds. */
export const UNDER_RUNNER = 'CH202_UNDER_RUNNER'

/** A runner that was killed has told no one: but its end of our standard input is closed, however it went. */
export function onRunnerGone(gone: () => void): void {
  if (process.env[UNDER_RUNNER] !== '1') return
  process.stdin.on('end', gone)
  process.stdin.on('error', gone)
  process.stdin.resume()
  process.stdin.unref()
}
