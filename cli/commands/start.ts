import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT, Failure, usage } from '../exit.ts'
import { note } from '../io.ts'
import { parseProcfile, Runner } from '../runner.ts'
import { settingsToServe } from '../settings.ts'
import { onStop } from '../signals.ts'

/** Runs the lines of the Procfile, those named or all, until SIGINT or SIGTERM. */
export async function startCommand({ only }: { only?: string }): Promise<void> {
  // Once for all of them: a wrong setting is said once, and the secrets are there before three look for them.
  settingsToServe(process.env)
  const lines = parseProcfile(procfile())
  const names = only?.split(',').map((name) => name.trim())
  const unknown = names?.find((name) => !lines.some((line) => line.name === name))
  if (unknown !== undefined)
    throw usage(`The Procfile has no ${unknown}: it has ${lines.map(({ name }) => name).join(', ')}`)

  const runner = new Runner(lines.filter(({ name }) => names === undefined || names.includes(name)))
  const stop = () => runner.stop()
  onStop(stop, stop)
  // Whoever read the output has gone: the services must not stay behind without it.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', () => runner.stop())
  const failed = await runner.run()
  if (failed !== undefined) {
    note(`✗ ${failed} does not stay up; all were stopped`)
    process.exitCode = EXIT.failed
  }
}

function procfile(): string {
  const path = join(import.meta.dir, '..', '..', 'Procfile')
  try {
    return readFileSync(path, 'utf8')
  } catch {
    throw new Failure(EXIT.failed, 'There is no Procfile beside the program', { suggestion: 'ch202 serve' })
  }
}
