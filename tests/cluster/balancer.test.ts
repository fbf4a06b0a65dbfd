import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { freePort } from '../support/servers/ports.ts'
import { type Balancer, startBalancer } from './balancer.ts'

const text = (size: number) => 'abcdefghij'.repeat(size / 10)

/** A node that says its name, and answers as the path asks. */
function startNode(name: string) {
  const waiting: (() => void)[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname } = new URL(request.url)
      if (pathname === '/echo') return new Response(request.body)
      if (pathname === '/empty') return new Response(null, { status: 204 })
      if (pathname === '/held') await new Promise<void>((resolve) => waiting.push(resolve))
      if (pathname === '/cut') process.nextTick(() => server.stop(true))
      if (pathname === '/cut') await new Promise(() => undefined)
      return new Response(name)
    },
  })
  return { name, port: server.port ?? 0, waiting, stop: () => server.stop(true) }
}

describe('the balancer of the tests', () => {
  const port = freePort()
  const url = `http://127.0.0.1:${port}`
  let balancer: Balancer
  const nodes = ['a', 'b', 'c'].map(startNode)
  const all = nodes.map((node) => node.port)
  beforeAll(async () => {
    balancer = await startBalancer(port)
    await balancer.use(all)
  })
  afterAll(async () => {
    await balancer.stop()
    for (const node of nodes) await node.stop()
  })
  const ask = async (path = '/') => await (await fetch(url + path)).text()
  /** Sends text on one connection. @returns what comes back until `until` is in it, or until the connection closes */
  const raw = (parts: string[], until: RegExp) =>
    new Promise<string>((resolve) => {
      let received = ''
      const socket = connect({ port, host: '127.0.0.1' }, () => {
        for (const part of parts) socket.write(part)
      })
      socket.on('data', (bytes) => {
        received += bytes.toString()
        if (until.test(received)) socket.destroy()
      })
      socket.on('close', () => resolve(received))
    })

  test('sends each request to the next node, also those of one connection', async () => {
    expect(new Set([await ask(), await ask(), await ask()])).toEqual(new Set(['a', 'b', 'c']))
    const request = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'
    const received = await raw([request, request + request], /(?:\r\n\r\n[abc][\s\S]*){3}/)
    expect(new Set(received.match(/(?<=\r\n\r\n)[abc]/g))).toEqual(new Set(['a', 'b', 'c']))
  })

  test('passes bodies of known and of unknown length, answers without a body, and HEAD', async () => {
    for (const size of [10, 1000, 3_000_000]) {
      const counted = await fetch(`${url}/echo`, { method: 'POST', body: text(size) })
      expect((await counted.text()).length).toBe(size)
      const body = new ReadableStream({
        async start(controller) {
          for (let part = 0; part < 5; part++) {
            controller.enqueue(new TextEncoder().encode(text(size / 5)))
            await Bun.sleep(1)
          }
          controller.close()
        },
      })
      const streamed = await fetch(`${url}/echo`, { method: 'POST', body })
      expect(await streamed.text()).toBe(text(size / 5).repeat(5))
    }
    expect([(await fetch(`${url}/empty`)).status, (await fetch(url, { method: 'HEAD' })).status]).toEqual([204, 200])
    expect(await ask()).toBeOneOf(['a', 'b', 'c'])
  })

  test('holds an answer while others pass', async () => {
    const answer = ask('/held')
    for (let n = 0; n < 6; n++) expect(await ask()).toBeOneOf(['a', 'b', 'c'])
    for (const node of nodes) for (const release of node.waiting.splice(0)) release()
    expect(await answer).toBeOneOf(['a', 'b', 'c'])
  })

  test('leaves a malformed request, and one of an unknown method, to the node', async () => {
    expect(await raw(['HELLO\r\n\r\n'], /\r\n\r\n/)).toStartWith('HTTP/1.1 400')
    // Bun closes the connection without an answer.
    expect(await raw(['FOO / HTTP/1.1\r\nhost: x\r\n\r\n'], /never/)).toBe('')
  })

  test('passes over a node that refuses connections; 503 when all do, 502 when one ends without an answer', async () => {
    const closed = freePort()
    await balancer.use([closed, all[0] ?? 0, closed])
    expect([await ask(), await ask(), await ask(), await ask()]).toEqual(['a', 'a', 'a', 'a'])
    await balancer.use([closed])
    expect((await fetch(url)).status).toBe(503)
    await balancer.use([])
    expect((await fetch(url)).status).toBe(503)
    const short = startNode('short')
    await balancer.use([short.port])
    expect((await fetch(`${url}/cut`)).status).toBe(502)
    await balancer.use(all)
  })
})
