import { afterEach } from 'bun:test'
import type { Running } from '../support/tool.ts'

/** Ends programs that a failed test has left running, after each test of the file that calls it. */
export function programsOfEachTest() {
  const programs = new Set<Running>()
  afterEach(async () => {
    for (const running of programs) running.signal('SIGKILL')
    await Promise.all([...programs].map(({ ended }) => ended))
    programs.clear()
  })
  return {
    add(running: Running): Running {
      programs.add(running)
      running.ended.then(() => programs.delete(running))
      return running
    },
    /** Keeps a program that several tests share. */
    keep: (running: Running) => void programs.delete(running),
  }
}
