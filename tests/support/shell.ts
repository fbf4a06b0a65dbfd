import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import { databaseSetting } from './postgres/database-rows.ts'
import { processes } from './processes.ts'
import { addressSettings, INTERNAL_KEY, OPERATOR_KEY, SECRET } from './settings.ts'
import type { System } from './system.ts'
import { type Ended, launch, ROOT, type Running, type RunOptions, temporary } from './tool.ts'

interface TerminalOptions {
  env?: Record<string, string>
  cols?: number
  /** Types each text when the screen shows its pattern, one after the other. */
  typed?: readonly (readonly [shown: RegExp, text: string])[]
}

/** A terminal that runs one line. */
export interface OnScreen {
  screen(): string
  /** Waits until the screen shows the pattern. @throws Error with the screen after a minute */
  shows(pattern: RegExp): Promise<void>
  type(text: string): void
  /** Closes the terminal, as one closes a window. */
  hangUp(): void
  /** The status is 128 plus the signal's number if a signal ended the line, as in a shell. */
  ended: Promise<{ status: number; screen: string }>
}

/** Runs lines as an operator types them: `ch202` is on the path and finds the running instance. */
export interface Shell {
  /** The working directory of the lines. */
  path: string
  env: Record<string, string>
  /** A path in a temporary directory that does not exist yet. */
  fresh(): string
  /** Starts a line. */
  start(line: string, options?: RunOptions): Running
  /** Runs a line to its end. */
  run(line: string, options?: RunOptions): Promise<Ended>
  /** Runs a line in a terminal. */
  inTerminal(line: string, options?: TerminalOptions): OnScreen
  close(): void
}

/**
 * Opens a shell that runs lines by `sh -c`.
 * @param name a part of the names of its directories
 * @param env the environment of `ch202`, such as that of `clientSettings`
 * @param root the checkout whose `ch202` is on the path
 */
export function openShell(name: string, env: Record<string, string> = {}, root = ROOT): Shell {
  const folder = temporary(name)
  const bin = join(folder.path, 'bin')
  mkdirSync(bin)
  const shim = join(bin, 'ch202')
  writeFileSync(shim, `#!/bin/sh\nexec "${process.execPath}" "${root}/cli/main.ts" "$@"\n`)
  chmodSync(shim, 0o755)
  const path = join(folder.path, 'work')
  const home = join(folder.path, 'home')
  for (const directory of [path, home]) mkdirSync(directory)
  const environment = { HOME: home, XDG_CONFIG_HOME: join(home, '.config'), ...env, PATH: `${bin}:${process.env.PATH}` }

  const start = (line: string, { cwd = path, env: more = {}, ...rest }: RunOptions = {}) =>
    launch(['sh', '-c', line], { ...rest, cwd, env: { ...environment, ...more, PATH: environment.PATH } })

  return {
    path,
    env: environment,
    fresh: folder.fresh,
    start,
    run: (line, options) => start(line, options).ended,
    inTerminal: (line, options = {}) => terminal(line, path, environment, options),
    close: folder.remove,
  }
}

function terminal(
  line: string,
  cwd: string,
  env: Record<string, string>,
  { cols = 100, env: more = {}, typed = [] }: TerminalOptions,
): OnScreen {
  const decoder = new TextDecoder()
  let screen = ''
  const outputEnd = Promise.withResolvers<void>()
  const child = Bun.spawn(['sh', '-c', line], {
    cwd,
    env: { TERM: 'xterm', CH202_ENV: 'test', ...env, ...more },
    terminal: {
      cols,
      rows: 30,
      data: (_, chunk) => {
        screen += decoder.decode(chunk, { stream: true })
      },
      exit: () => outputEnd.resolve(),
    },
  })
  const shows = async (pattern: RegExp, from = 0) => {
    await eventually(() => pattern.test(screen.slice(from)) || undefined).catch(() => {
      throw new Error(`The screen does not show ${pattern}:\n${screen}`)
    })
  }
  const typing = async () => {
    let from = 0
    for (const [pattern, text] of typed) {
      await shows(pattern, from)
      from = screen.length
      child.terminal?.write(text)
    }
  }
  const toEnd = async () => {
    await typing()
    await child.exited
    // The last output may still be on its way.
    await Promise.race([outputEnd.promise, Bun.sleep(500)])
    child.terminal?.close()
    return { status: statusOf(child), screen: screen.replaceAll('\r\n', '\n') }
  }
  return {
    screen: () => screen,
    shows,
    type: (text) => void child.terminal?.write(text),
    hangUp: () => child.terminal?.close(),
    ended: toEnd(),
  }
}

const SIGNAL_NUMBERS: Record<string, number> = { SIGHUP: 1, SIGINT: 2, SIGPIPE: 13, SIGKILL: 9, SIGTERM: 15 }

function statusOf({ exitCode, signalCode }: Bun.Subprocess): number {
  return exitCode ?? 128 + (SIGNAL_NUMBERS[signalCode ?? ''] ?? 0)
}

/** The settings by which `ch202` finds a running system, and its keys. */
function clientSettings(system: System): Record<string, string> {
  return {
    ...addressSettings((name) => system.url[name]),
    OPERATOR_API_KEY: OPERATOR_KEY,
    INTERNAL_API_KEY: INTERNAL_KEY,
    CH202_SECRET: SECRET,
    CH202_DATA_DIR: system.dataDir,
    ...databaseSetting(system),
  }
}

/** Starts a system in one process, and opens a shell in which `ch202` operates it. */
export async function openInstance(name: string, env: Record<string, string> = {}) {
  const system = await processes('together', { RATE_LIMIT: 'off', ...env })
  const shell = openShell(name, clientSettings(system))
  return {
    system,
    shell,
    async close() {
      await system.stop()
      shell.close()
    },
  }
}
