import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Below the ports that Linux gives to outgoing connections: two programs seldom choose the same one. */
const FIRST_PORT = 10_240
const LAST_PORT = 32_000
/** Holds a file for each port that a process of the tests has, named after the port, with the id of the process. */
const RESERVED = join(tmpdir(), `ch202-test-ports-${process.getuid?.() ?? ''}`)

/**
 * Gives a port that nothing listens on. No other process of the tests gets it while this one runs: a test that stops a
 * service and starts it again finds its port free.
 */
export function freePort(): number {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT))
    if (!reserve(port)) continue
    try {
      Bun.serve({ port, hostname: '127.0.0.1', fetch: () => new Response() }).stop(true)
      return port
    } catch {
      // Another program listens on it.
    }
  }
}

/** @returns false when the port is reserved, or was by a process that has ended: then it is free the next time */
function reserve(port: number): boolean {
  const file = join(RESERVED, String(port))
  mkdirSync(RESERVED, { recursive: true })
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    if (!isRunning(file)) rmSync(file, { force: true })
    return false
  }
}

/** Whether the process that reserved a port is running. */
function isRunning(file: string): boolean {
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0)
    return true
  } catch {
    return false
  }
}
