import { readFileSync } from 'node:fs'
import type { RunFile } from './run-file.ts'

/** Clock ticks per second in /proc (USER_HZ), the same on every Linux that Bun supports. */
const TICKS_PER_SECOND = 100
const PROC = '/proc'

/** A process as the system reports it; null for values that the system does not provide. */
export interface Process {
  pid: number
  /** The user it runs as. */
  uid: number | null
  rss_bytes: number | null
  /** CPU time used, in seconds. */
  cpu_s: number | null
}

/**
 * The process that wrote a run file, or undefined if it is gone: a killed process leaves its file behind, and another
 * program may have got its id since.
 */
export function processOf({ pid, process_start }: RunFile): Process | undefined {
  const stat = statOf(pid)
  if (stat === undefined) return hasProc() ? undefined : aliveProcess(pid)
  const same = process_start === undefined ? isServing(pid) : stat.startedAt === process_start
  if (!same || stat.state === 'Z') return undefined
  return { pid, uid: uidOf(pid), rss_bytes: rssOf(pid), cpu_s: stat.ticks / TICKS_PER_SECOND }
}

/** The name of a process; undefined if it is not visible. */
export function nameOf(pid: number): string | undefined {
  return readProc(pid, 'comm')?.trim()
}

/** Whether a process with this id exists, of any user. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function hasProc(): boolean {
  return readProc('self', 'stat') !== undefined
}

/** Without /proc, any process with the right id is accepted. */
function aliveProcess(pid: number): Process | undefined {
  return isAlive(pid) ? { pid, uid: null, rss_bytes: null, cpu_s: null } : undefined
}

function statOf(pid: number) {
  const text = readProc(pid, 'stat')
  if (text === undefined) return undefined
  // The name is in parentheses and may contain any character; only numbers follow the last one (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0], ticks: Number(fields[11]) + Number(fields[12]), startedAt: Number(fields[19]) }
}

function isServing(pid: number): boolean {
  return readProc(pid, 'cmdline')?.split('\0').includes('serve') ?? false
}

function rssOf(pid: number): number | null {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(pid, 'status') ?? '')?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}

function uidOf(pid: number): number | null {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(readProc(pid, 'status') ?? '')?.[1]
  return uid === undefined ? null : Number(uid)
}

function readProc(pid: number | 'self', file: string): string | undefined {
  try {
    return readFileSync(`${PROC}/${pid}/${file}`, 'latin1')
  } catch {
    return undefined
  }
}
