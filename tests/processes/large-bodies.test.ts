import { expect, test } from 'bun:test'
import { as, call } from '../support/http.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { exchange, sendChunked } from '../support/sockets.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const CHUNKED = ['Content-Type: application/json'] as const
const LINE = 'POST /auth/login HTTP/1.1'
const MIB = 2 ** 20

/** Separate processes, so that only the memory of the services is measured. */
const here = running(overProcesses('apart'))

const memory = async () => {
  const { text } = await call(here.system.url.auth, 'GET /metrics', { headers: as.operator })
  return Number(/^ch202_process_resident_memory_bytes\S* (\S+)$/m.exec(text)?.[1])
}

test('check 25: many bodies of 10 MB take no memory', async () => {
  const parts = Array(10).fill('x'.repeat(MIB))
  const flood = () => sendChunked(here.system.url.auth, LINE, [...CHUNKED], parts)
  await flood()
  const before = await memory()
  for (let n = 0; n < 5; n++) expect([0, 413]).toContain((await flood()).status)
  const head = 'Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\nConnection: close'
  const announced = await exchange(here.system.url.auth, `${LINE}\r\n${head}\r\n\r\n`)
  expect(announced.status).toBe(413)
  expect((await memory()) - before).toBeLessThan(32 * MIB)
  expect((await call(here.system.url.auth, 'GET /health')).status).toBe(200)
})

test('check 25: a thousand bodies of 65 KB take no memory', async () => {
  const body = JSON.stringify({ x: 'x'.repeat(65 * 1024) })
  const flood = async (times: number) => {
    for (let sent = 0; sent < times; sent += 20)
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const plain = await call(here.system.url.auth, 'POST /auth/login', { headers: JSON_TYPE, body })
          const chunked = await sendChunked(here.system.url.auth, LINE, [...CHUNKED], [body])
          expect([plain.status, chunked.status]).toEqual([413, 413])
        }),
      )
  }
  await flood(200)
  const before = await memory()
  await flood(1000)
  // All bodies together are 65 MB.
  expect((await memory()) - before).toBeLessThan(24 * MIB)
})
