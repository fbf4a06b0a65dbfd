/** Set in the environment of a process whose standard input the runner holds open. */
export const UNDER_RUNNER = 'CH202_UNDER_RUNNER'

/** Calls `onGone` when the runner ends, even by SIGKILL: our standard input closes with it. */
export function onRunnerGone(onGone: () => void): void {
  if (process.env[UNDER_RUNNER] !== '1') return
  process.stdin.on('end', onGone)
  process.stdin.on('error', onGone)
  process.stdin.resume()
  process.stdin.unref()
}
