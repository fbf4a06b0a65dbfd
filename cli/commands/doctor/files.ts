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
import { type Check, failed, ok, type Scene, skipped, warning } from './check.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const SPACE_LEAST = 100 * MIB
const SPACE_SCARCE = GIB
const SHARE_SCARCE = 0.1
/** Milliseconds that a durable write may take. */
const SLOW = 500
/** As many as are looked at: a check must end. */
const ENTRIES_MAX = 100_000
const NAMED = 3

export const filesChecks: Check[] = [
  {
    id: 'files.directory',
    looksAt: 'the data directory is there and can be read',
    look({ dataDir }) {
      try {
        readdirSync(dataDir)
        return ok(`The data is in ${resolve(dataDir)}`)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT')
          return warning(`There is no ${resolve(dataDir)}: nothing was started here`, 'ch202 start')
        return failed(`${resolve(dataDir)} can't be read: ${codeOf(error)}`, `ls -ld ${quoted(resolve(dataDir))}`)
      }
    },
  },
  {
    id: 'files.mode',
    looksAt: 'every file of the data directory has the mode 0600, every directory 0700',
    look: inside(({ dataDir }, entries) => {
      const open = entries.filter(({ stats }) => isOpen(stats.mode))
      if (open.length === 0) return ok('Every file is its owner’s alone')
      const named = open.map(({ path, stats }) => `${relative(dataDir, path) || '.'} (${modeOf(stats.mode)})`)
      return failed(`Others on this machine can reach ${some(named)}`, `chmod -R go-rwx ${quoted(resolve(dataDir))}`)
    }),
  },
  {
    id: 'files.owner',
    looksAt: 'every file of the data directory belongs to one user, the one whom the services run as',
    look: inside(async ({ dataDir, services }, entries) => {
      const uids = (await services()).map(({ running }) => running.process?.uid)
      const owner = uids.find((uid) => uid != null) ?? lstatSync(dataDir).uid
      const others = entries.filter(({ stats }) => stats.uid !== owner)
      if (others.length === 0) return ok(`Every file belongs to the user ${owner}`)
      const named = others.map(({ path, stats }) => `${relative(dataDir, path) || '.'} (user ${stats.uid})`)
      return failed(
        `Not of the user ${owner}, whose services can't write to it: ${some(named)}`,
        `chown -R ${owner} ${quoted(resolve(dataDir))}`,
      )
    }),
  },
  {
    id: 'disk.space',
    looksAt: 'the disk has room: a warning below 1 GiB or 10 %, failed below 100 MiB',
    look({ dataDir }) {
      const { bavail, blocks, bsize } = statfsSync(firstThere(dataDir))
      const free = bavail * bsize
      const said = `${count(Math.floor(free / MIB))} MiB are free, ${Math.floor((bavail / blocks) * 100)} %`
      if (free < SPACE_LEAST) return failed(said, `du -xh ${quoted(resolve(dataDir))} | sort -h | tail`)
      if (free < SPACE_SCARCE || bavail / blocks < SHARE_SCARCE)
        return warning(said, `du -xh ${quoted(resolve(dataDir))} | sort -h | tail`)
      return ok(said)
    },
  },
  {
    id: 'disk.sync',
    looksAt: 'a write to the data directory reaches the disk, and in which time',
    look({ dataDir }) {
      const path = join(dataDir, `.doctor-${process.pid}`)
      let file: number
      try {
        file = openSync(path, 'wx', 0o600)
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return skipped('There is no data directory yet')
        return failed(`Nothing can be written to the data directory: ${codeOf(error)}`, `df -h ${quoted(dataDir)}`)
      }
      try {
        // Without a name it is gone whatever becomes of this process.
        rmSync(path)
        const began = performance.now()
        writeSync(file, 'ch202')
        fsyncSync(file)
        const took = Math.round((performance.now() - began) * 10) / 10
        const said = `A durable write takes ${took} ms`
        return took < SLOW ? ok(said) : warning(`${said}: every change waits for one`, 'ch202 doctor --only disk.sync')
      } catch (error) {
        return failed(`A write does not reach the disk: ${codeOf(error)}`, `df -h ${quoted(resolve(dataDir))}`)
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

function inside(look: (scene: Scene, entries: Entry[]) => ReturnType<Check['look']>) {
  return (scene: Scene) => {
    const entries = [...walk(scene.dataDir)]
    return entries.length === 0 ? skipped('There is no data directory yet') : look(scene, entries)
  }
}

/** A link is not what it leads to. */
function* walk(root: string): Generator<Entry> {
  const waiting = [root]
  for (let seen = 0; seen < ENTRIES_MAX; seen++) {
    const path = waiting.pop()
    if (path === undefined) return
    let stats: Stats
    try {
      stats = lstatSync(path)
    } catch {
      // Gone meanwhile.
      continue
    }
    if (!stats.isSymbolicLink()) yield { path, stats }
    try {
      if (stats.isDirectory()) waiting.push(...readdirSync(path).map((name) => join(path, name)))
    } catch {
      // Its own line tells whose it is.
    }
  }
}

/** Whether others than its owner can do anything with it. */
export function isOpen(mode: number): boolean {
  return (mode & 0o077) !== 0
}

export function modeOf(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0')
}

function some(names: readonly string[]): string {
  const more = names.length - NAMED
  return `${names.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${count(more)} more` : ''}`
}

function firstThere(path: string): string {
  for (let at = resolve(path); ; at = dirname(at)) {
    try {
      lstatSync(at)
      return at
    } catch (error) {
      if (dirname(at) === at) throw error
    }
  }
}

function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string }
  return code ?? message ?? 'unknown error'
}
