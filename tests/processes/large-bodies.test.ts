import { expect, test } from 'bun:test'
import { as, call } from '../support/http.ts'
import { overProcesses } from '../support/processes.ts'
import { running } from '../support/running.ts'
import { exchange, sendChunked } from '../support/sockets.ts'

/** In a process of its own, so that its memory is that of the services alone. */
const here = running(overProcesses('apart'))

test('check 25: bodies of 10 MB, sent again and again, take no memory', async () => {
  const memory = async () =>
    Number(
      /^process_resident_memory_bytes\S* (\S+)$/m.exec(
        (await call(here.system.url.auth, 'GET /metrics', { headers: as.operator })).text,
      )?.[1],
    )
  const chunk = 'x'.repeat(1024 * 1024)
  const flood = () =>
    sendChunked(
      here.system.url.auth,
      'POST /auth/login HTTP/1.1',
      ['Content-Type: application/json'],
      Array(10).fill(chunk),
    )
  await flood()
  const before = await memory()
  for (let n = 0; n < 5; n++) expect([0, 413]).toContain((await flood()).status)
  const announced = await exchange(
    here.system.url.auth,
    'POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\nConnection: close\r\n\r\n',
  )
  expect(announced.status).toBe(413)
  expect((await memory()) - before).toBeLessThan(32 * 1024 * 1024)
  expect((await call(here.system.url.auth, 'GET /health')).status).toBe(200)
})
