import { expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Spool } from './spool.ts'

/** Files that this process has open and that have no name. */
const unnamed = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /ch202-import-.*\(deleted\)$/.test(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false
    }
  }).length

const lineOf = (n: number) => ({ n, text: `${'я李🐴'.repeat(n % 700)}\n` })

test('values come back in order, from memory and from a file without a name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-spool-'))
  const before = process.env.TMPDIR
  process.env.TMPDIR = directory
  try {
    for (const [many, files] of [
      [1000, 0],
      [12_000, 1],
    ] as const) {
      const spool = new Spool<ReturnType<typeof lineOf>>()
      for (let n = 0; n < many; n++) spool.add(lineOf(n))
      expect([unnamed(), readdirSync(directory)]).toEqual([files, []])
      let next = 0
      for (const value of spool.values()) if (value.text !== lineOf(next++).text || value.n !== next - 1) throw next
      expect(next).toBe(many)
      spool.close()
      expect(unnamed()).toBe(0)
    }
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    rmSync(directory, { recursive: true })
  }
})
