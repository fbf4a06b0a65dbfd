import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  rmSync,
  type Stats,
  statfsSync,
  writeSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { quoted } from '../../terminal/shell.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, type DoctorContext, failed, ok, skipped, warning } from './check.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
/** Bytes. */
const SPACE_MIN = 100 * MIB
const SPACE_LOW = GIB
/** Part of the disk that should be free. */
const SHARE_LOW = 0.1
/** Milliseconds above which a durable write is slow. */
const SLOW_SYNC = 500
/** Maximum number of files to check, so that the check ends. */
const ENTRIES_MAX = 100_000
/** Maximum number of files that a message names. */
const NAMES_MAX = 3

export const filesChecks: Check[] = [
  {
    id: 'files.directory',
    describes: 'the data directory exists and can be read',
    run({ dataDir }) {
      try {
        readdirSync(dataDir)
        return ok(`The data directory is ${resolve(dataDir)}`)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT')
          return warning(`There is no ${resolve(dataDir)}: no service was started here yet`, 'ch202 start')
        return failed(`${resolve(dataDir)} cannot be read: ${codeOf(error)}`, `ls -ld ${quoted(resolve(dataDir))}`)
      }
    },
  },
  {
    id: 'files.mode',
    describes: 'files in the data directory have mode 0600, directories 0700',
    run: withEntries(({ dataDir }, entries) => {
      const accessible = entries.filter(({ stats }) => isOpenToOthers(stats.mode))
      if (accessible.length === 0) return ok('Only their owner can access the files')
      const names = accessible.map(({ path, stats }) => `${relative(dataDir, path) || '.'} (${modeOf(stats.mode)})`)
      return failed(
        `Other users on this machine can access ${summarize(names)}`,
        `chmod -R go-rwx ${quoted(resolve(dataDir))}`,
      )
    }),
  },
  {
    id: 'files.owner',
    describes: 'every file in the data directory belongs to the user that the services run as',
    run: withEntries(async ({ dataDir, services }, entries) => {
      const uids = (await services()).map(({ running }) => running.process?.uid)
      const owner = uids.find((uid) => uid != null) ?? lstatSync(dataDir).uid
      const others = entries.filter(({ stats }) => stats.uid !== owner)
      if (others.length === 0) return ok(`Every file belongs to user ${owner}`)
      const names = others.map(({ path, stats }) => `${relative(dataDir, path) || '.'} (user ${stats.uid})`)
      return failed(
        `Not owned by user ${owner}, so the services cannot write to: ${summarize(names)}`,
        `chown -R ${owner} ${quoted(resolve(dataDir))}`,
      )
    }),
  },
  {
    id: 'disk.space',
    describes: 'the disk has free space: a warning below 1 GiB or 10 %, failed below 100 MiB',
    run({ dataDir }) {
      const { bavail, blocks, bsize } = statfsSync(nearestExisting(dataDir))
      const free = bavail * bsize
      const message = `${count(Math.floor(free / MIB))} MiB free (${Math.floor((bavail / blocks) * 100)} %)`
      if (free < SPACE_MIN) return failed(message, `du -xh ${quoted(resolve(dataDir))} | sort -h | tail`)
      if (free < SPACE_LOW || bavail / blocks < SHARE_LOW)
        return warning(message, `du -xh ${quoted(resolve(dataDir))} | sort -h | tail`)
      return ok(message)
    },
  },
  {
    id: 'disk.sync',
    describes: 'a write to the data directory reaches the disk, and how long it takes',
    run({ dataDir }) {
      const path = join(dataDir, `.doctor-${process.pid}`)
      let file: number
      try {
        file = openSync(path, 'wx', 0o600)
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return skipped('There is no data directory yet')
        return failed(`The data directory cannot be written: ${codeOf(error)}`, `df -h ${quoted(dataDir)}`)
      }
      try {
        // Without a name, the file disappears even if this process is killed.
        rmSync(path)
        const startedAt = performance.now()
        writeSync(file, 'ch202')
        fsyncSync(file)
        const elapsed = Math.round((performance.now() - startedAt) * 10) / 10
        const message = `A durable write takes ${elapsed} ms`
        return elapsed < SLOW_SYNC
          ? ok(message)
          : warning(`${message}: every change waits that long`, 'ch202 doctor --only disk.sync')
      } catch (error) {
        return failed(`Writes do not reach the disk: ${codeOf(error)}`, `df -h ${quoted(resolve(dataDir))}`)
      } finally {
        closeSync(file)
      }
    },
  },
]

interface Entry {
  path: string
  stats: Stats
}

function withEntries(check: (context: DoctorContext, entries: Entry[]) => ReturnType<Check['run']>) {
  return (context: DoctorContext) => {
    const entries = [...walk(context.dataDir)]
    return entries.length === 0 ? skipped('There is no data directory yet') : check(context, entries)
  }
}

/** Lists a directory recursively, without following symbolic links. */
function* walk(root: string): Generator<Entry> {
  const pending = [root]
  for (let visited = 0; visited < ENTRIES_MAX; visited++) {
    const path = pending.pop()
    if (path === undefined) return
    let stats: Stats
    try {
      stats = lstatSync(path)
    } catch {
      // The file was removed meanwhile.
      continue
    }
    if (!stats.isSymbolicLink()) yield { path, stats }
    try {
      if (stats.isDirectory()) pending.push(...readdirSync(path).map((name) => join(path, name)))
    } catch {
      // The check reports the owner of an unreadable directory itself.
    }
  }
}

/** Whether users other than the owner have any access. */
export function isOpenToOthers(mode: number): boolean {
  return (mode & 0o077) !== 0
}

export function modeOf(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0')
}

function summarize(names: readonly string[]): string {
  const more = names.length - NAMES_MAX
  return `${names.slice(0, NAMES_MAX).join(', ')}${more > 0 ? ` and ${count(more)} more` : ''}`
}

function nearestExisting(path: string): string {
  for (let directory = resolve(path); ; directory = dirname(directory)) {
    try {
      lstatSync(directory)
      return directory
    } catch (error) {
      if (dirname(directory) === directory) throw error
    }
  }
}

function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string }
  return code ?? message ?? 'unknown error'
}
