import type { Running } from '../tool.ts'

/** Milliseconds. Some programs need minutes for their first start. */
const PATIENCE = 300_000
const PAUSE = 100

/** Waits until a program answers at an address. @throws Error with its output if it ends before */
export async function untilServed(program: Running, address: string): Promise<void> {
  let hasEnded = false
  program.ended.then(() => {
    hasEnded = true
  })
  const end = performance.now() + PATIENCE
  for (;;) {
    const answer = await fetch(address, { redirect: 'manual' }).catch(() => undefined)
    if (answer && answer.status < 500) return
    if (hasEnded) throw new Error(`It has ended:\n${program.stdout()}\n${program.stderr()}`)
    if (performance.now() > end) throw new Error(`${address} does not answer`)
    await Bun.sleep(PAUSE)
  }
}
