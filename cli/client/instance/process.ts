import { readFileSync } from 'node:fs'
import type { Note } from './note.ts'

/** Ticks of a second in /proc (USER_HZ), and bytes of a page: the same on every Linux that Bun runs on, or as good. */
const TICKS = 100
const PROC = '/proc'

/** A process as the system shows it; null for what it doesn't tell. */
export interface Process {
  pid: number
  /** The user it runs as. */
  uid: number | null
  rss_bytes: number | null
  /** Processor time that it has used. */
  cpu_s: number | null
}

/**
 * The process that a service wrote down, if it is still that one: what was killed leaves its note behind, and another
 * program may have been given its id since.
 */
export function processOf({ pid, process_start }: Note): Process | undefined {
  const stat = statOf(pid)
  if (stat === undefined) return hasProc() ? undefined : livingOf(pid)
  const same = process_start === undefined ? isServing(pid) : stat.startedAt === process_start
  if (!same || stat.state === 'Z') return undefined
  return { pid, uid: uidOf(pid), rss_bytes: rssOf(pid), cpu_s: stat.ticks / TICKS }
}

/** The name of a process, where it may be seen. */
export function nameOf(pid: number): string | undefined {
  return read(pid, 'comm')?.trim()
}

/** Whether there is a process of that id, whose ever it is. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function hasProc(): boolean {
  return read('self', 'stat') !== undefined
}

/** Where processes can't be looked at, a living one is taken at its word. */
function livingOf(pid: number): Process | undefined {
  return isAlive(pid) ? { pid, uid: null, rss_bytes: null, cpu_s: null } : undefined
}

function statOf(pid: number) {
  const text = read(pid, 'stat')
  if (text === undefined) return undefined
  // The name stands in brackets and may hold anything; what follows the last one is numbers (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0], ticks: Number(fields[11]) + Number(fields[12]), startedAt: Number(fields[19]) }
}

function isServing(pid: number): boolean {
  return read(pid, 'cmdline')?.split('\0').includes('serve') ?? false
}

function rssOf(pid: number): number | null {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(pid, 'status') ?? '')?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}

function uidOf(pid: number): number | null {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(read(pid, 'status') ?? '')?.[1]
  return uid === undefined ? null : Number(uid)
}

function read(pid: number | 'self', file: string): string | undefined {
  try {
    return readFileSync(`${PROC}/${pid}/${file}`, 'latin1')
  } catch {
    return undefined
  }
}
