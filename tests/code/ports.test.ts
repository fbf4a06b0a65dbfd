import { expect, test } from 'bun:test'
import { join } from 'node:path'

const PROCESSES = 4
const PORTS = 300

test('no two processes of the tests that run at once get the same port', async () => {
  const module = JSON.stringify(join(import.meta.dir, '../support/servers/ports.ts'))
  const code = `
    const { freePort } = await import(${module})
    console.log(JSON.stringify(Array.from({ length: ${PORTS} }, freePort)))
    await Bun.stdin.text()`
  // Each runs until the input ends, after all have their ports.
  const children = Array.from({ length: PROCESSES }, () =>
    Bun.spawn([process.execPath, '-e', code], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' }),
  )
  const outputs = await Promise.all(
    children.map(async ({ stdout }) => (await stdout.getReader().read()).value ?? new Uint8Array()),
  )
  for (const child of children) {
    child.stdin.end()
    await child.exited
  }
  const ports = outputs.flatMap((output) => JSON.parse(new TextDecoder().decode(output)) as number[])
  expect(new Set(ports).size).toBe(PROCESSES * PORTS)
}, 60_000)
