import { eventually } from '../support/eventually.ts'
import { type Answer, call } from '../support/http.ts'
import { freePort } from '../support/servers/ports.ts'
import { OPERATOR_KEY } from '../support/settings.ts'
import { launch, type Running } from '../support/tool.ts'

/** A proxy between the foreign service and one of ours: forwards and counts requests, and can be cut. */
export interface ServiceProxy {
  url: string
  /** Paths whose requests are not answered. */
  cut: RegExp | undefined
  /** Number of requests that are no polls. */
  requestCount(): number
  /** Resolves when a poll that was sent after this call is answered. */
  polled(): Promise<void>
  stop(): void
}

const POLL = /\/(auth\/revocations|modules\/sync\/feed)$/

/** @param target the base address of the service */
export function proxyTo(target: () => string): ServiceProxy {
  let [polls, questions] = [0, 0]
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { headers, method, url } = request
      const { pathname, search } = new URL(url)
      if (POLL.test(pathname)) polls++
      else questions++
      const isCut = () => proxy.cut?.test(pathname) ?? false
      const lost = () => new Response('lost', { status: 502 })
      if (isCut()) return lost()
      const body = method === 'GET' ? {} : { body: await request.text() }
      const answer = await fetch(target() + pathname + search, { method, headers, ...body }).catch(lost)
      // A request that was under way at the cut does not arrive either.
      return isCut() ? lost() : new Response(await answer.text(), { status: answer.status })
    },
  })
  const proxy: ServiceProxy = {
    url: `http://127.0.0.1:${server.port}`,
    cut: undefined,
    requestCount: () => questions,
    async polled() {
      const before = polls
      // One poll may be under way, the second is sent after this call, and the third shows that the second was answered.
      await eventually(() => polls > before + 2 || undefined)
    },
    stop: () => void server.stop(true),
  }
  return proxy
}

export interface Foreign {
  url: string
  /** Sends a request and records the answer. */
  ask(request: string, headers?: Record<string, string>, body?: unknown): Promise<Answer>
  /** All answers and output of the service. */
  output(): string
  process: Running
  stop(): Promise<void>
}

/** Runs a program of a foreign service as a process of its own. */
export async function runForeign(cwd: string, program: string, env: Record<string, string>): Promise<Foreign> {
  const url = `http://127.0.0.1:${freePort()}`
  const keys = { OPERATOR_API_KEY: OPERATOR_KEY }
  const process = launch([globalThis.process.execPath, '--no-install', program], {
    cwd,
    env: { ...keys, PORT: new URL(url).port, ...env },
  })
  const answers: string[] = []
  const foreign: Foreign = {
    url,
    async ask(request, headers = {}, body = undefined) {
      const answer = await call(url, request, { headers, ...(body === undefined ? {} : { body }) })
      answers.push(answer.text, JSON.stringify([...answer.headers]))
      return answer
    },
    output: () => [...answers, process.stdout(), process.stderr()].join('\n'),
    process,
    async stop() {
      process.signal('SIGTERM')
      await process.ended
    },
  }
  const up = () =>
    foreign.ask('GET /orders').then(
      ({ status }) => status === 401 || undefined,
      () => undefined,
    )
  await eventually(up).catch(() => {
    throw new Error(`${program} does not answer:\n${process.stdout()}\n${process.stderr()}`)
  })
  return foreign
}
