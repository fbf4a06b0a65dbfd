import { closeSync, copyFileSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { launch, ROOT, type Running } from '../support/tool.ts'

/** A data directory on a disk that a test can fill and clear. */
export interface SmallDisk {
  dataDir: string
  /** Launches a process that has the directory on that disk. */
  launch(command: string[], env: Record<string, string>): Running
  fill(): Promise<void>
  free(): Promise<void>
  /** Names of the files on it. */
  names(): string[]
  /** Copies a file, if it exists, to a path where SQLite can open it. */
  copy(name: string, to: string): void
  remove(): Promise<void>
}

export interface MountedDisk extends SmallDisk {
  /** Mounts the disk again, read-only. */
  lock(): Promise<void>
}

/** Room for three databases and their logs. */
const ROOMY = 24 * 1024 * 1024

/**
 * A tmpfs (ENOSPC) in a mount namespace of its own, which ends with the process that holds it: no mount is left.
 * @param size in bytes
 * @returns undefined if such a namespace can't be created
 */
export async function tmpfs(dataDir: string, size = ROOMY): Promise<MountedDisk | undefined> {
  if (!Bun.which('unshare') || !Bun.which('nsenter')) return undefined
  mkdirSync(dataDir, { recursive: true })
  const mount = `mount -t tmpfs -o size=${size},mode=700 tmpfs "$1" && echo mounted && exec cat`
  const holder = Bun.spawn(['unshare', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh', dataDir], {
    // The holder ends with the test, even when the test crashes.
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const { value } = await holder.stdout.getReader().read()
  if (!value) return undefined
  const enter = [
    'nsenter',
    '--preserve-credentials',
    '--user',
    '--mount',
    `--wd=${ROOT}`,
    '--target',
    String(holder.pid),
  ]
  const seen = join(`/proc/${holder.pid}/root`, dataDir)
  const ballast = join(seen, 'ballast')
  return {
    dataDir,
    launch: (command, env) => launch([...enter, ...command], { env }),
    async fill() {
      const file = openSync(ballast, 'a')
      for (let step = 1024 * 1024; step >= 1; ) {
        try {
          if (writeSync(file, Buffer.alloc(step)) < step) step = Math.floor(step / 2)
        } catch {
          step = Math.floor(step / 2)
        }
      }
      closeSync(file)
    },
    async free() {
      rmSync(ballast)
    },
    async lock() {
      await Bun.spawn([...enter, 'mount', '-o', 'remount,ro', dataDir]).exited
    },
    names: () => readdirSync(seen),
    copy: (name, to) => copyIfThere(join(seen, name), to),
    async remove() {
      holder.kill()
      await holder.exited
    },
  }
}

/** A directory whose files can't be written by the processes launched here while it is `full` (RLIMIT_FSIZE: EFBIG). */
export function fileSizeLimit(dataDir: string): SmallDisk {
  const pids = new Set<number>()
  const limit = async (size: string) => {
    for (const pid of pids) {
      const { exited } = Bun.spawn(['prlimit', `--pid=${pid}`, `--fsize=${size}:unlimited`], { stderr: 'ignore' })
      await exited
    }
  }
  return {
    dataDir,
    launch(command, env) {
      // The signal that comes with this error would end the process; a full disk sends no signal.
      const running = launch(['sh', '-c', 'trap "" XFSZ; exec "$@"', 'sh', ...command], { env })
      pids.add(running.pid)
      running.ended.then(() => pids.delete(running.pid))
      return running
    },
    fill: () => limit('0'),
    free: () => limit('unlimited'),
    names: () => readdirSync(dataDir),
    copy: (name, to) => copyIfThere(join(dataDir, name), to),
    remove: async () => undefined,
  }
}

function copyIfThere(from: string, to: string): void {
  if (existsSync(from)) copyFileSync(from, to)
}
