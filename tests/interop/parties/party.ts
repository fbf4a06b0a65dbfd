import type { TestUser } from '../../support/actors.ts'
import type { OAuthClient } from '../../support/oauth/clients.ts'
import type { System } from '../../support/system.ts'
import type { Running } from '../../support/tool.ts'
import type { Visit } from './visit.ts'

/** The system, the user and the places of a run. */
export interface Surroundings {
  system: System
  /** A directory that the party may fill: what `install` has built is there too. */
  folder: string
  /** The address of the party, on a free port. */
  origin: string
  port: number
  client: OAuthClient
  /** The environment that the recipes read. */
  env: Record<string, string>
  user: TestUser
  visit: Visit
  /** Starts a process, which ends with the run. */
  start(command: string[], options?: { env?: Record<string, string>; cwd?: string }): Running
}

/** Software of others that people sign in to with Ch202. */
export interface Party {
  name: string
  /** Builds or installs it in a directory. @returns its version @throws Error with the output of what failed */
  install(folder: string): Promise<string>
  /** The fields of its client. @param origin the address of the party */
  client(origin: string): Record<string, unknown>
  /** Settings of Ch202. */
  settings?: Record<string, string>
  /** Starts it, and does what people do. @throws Error if something is not as it should be */
  run(surroundings: Surroundings): Promise<void>
}

/** Runs a command to its end. @returns its output @throws Error with its output if it fails */
export async function execute(command: string[], cwd: string, env: Record<string, string> = {}): Promise<string> {
  const child = Bun.spawn(command, { cwd, env: { ...process.env, ...env }, stdout: 'pipe', stderr: 'pipe' })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')} failed:\n${stdout}\n${stderr}`)
  return stdout.trim()
}
