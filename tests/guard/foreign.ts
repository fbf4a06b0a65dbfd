import { eventually } from '../support/eventually.ts'
import { type Answer, call } from '../support/http.ts'
import { freePort, INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'
import { launch, type Running } from '../support/tool.ts'

/** What stands between the foreign service and one of ours: passes on, counts, and can be cut. */
export interface Way {
  url: string
  /** Of these paths no request is answered. */
  cut: RegExp | undefined
  /** How many requests came that are no polls. */
  questions(): number
  /** Until a poll that is sent from now on was answered. */
  followed(): Promise<void>
  stop(): void
}

const POLL = /\/(auth\/revocations|modules\/sync\/feed)$/

/** @param target the base address of the service */
export function wayTo(target: () => string): Way {
  let [polls, questions] = [0, 0]
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { headers, method, url } = request
      const { pathname, search } = new URL(url)
      if (POLL.test(pathname)) polls++
      else questions++
      const isCut = () => way.cut?.test(pathname) ?? false
      const lost = () => new Response('lost', { status: 502 })
      if (isCut()) return lost()
      const body = method === 'GET' ? {} : { body: await request.text() }
      const answer = await fetch(target() + pathname + search, { method, headers, ...body }).catch(lost)
      // What was on its way when it was cut does not arrive either.
      return isCut() ? lost() : new Response(await answer.text(), { status: answer.status })
    },
  })
  const way: Way = {
    url: `http://127.0.0.1:${server.port}`,
    cut: undefined,
    questions: () => questions,
    async followed() {
      const before = polls
      // One may be under way, one is sent from now on, and when a third comes that one was answered.
      await eventually(() => polls > before + 2 || undefined)
    },
    stop: () => void server.stop(true),
  }
  return way
}

export interface Foreign {
  url: string
  /** One request; its answer is kept, to be looked through. */
  ask(request: string, headers?: Record<string, string>, body?: unknown): Promise<Answer>
  /** Everything that it has answered and printed. */
  output(): string
  process: Running
  stop(): Promise<void>
}

/** Runs a program of a foreign service as a process of its own. */
export async function runForeign(cwd: string, program: string, env: Record<string, string>): Promise<Foreign> {
  const url = `http://127.0.0.1:${freePort()}`
  const keys = { INTERNAL_API_KEY: INTERNAL_KEY, OPERATOR_API_KEY: OPERATOR_KEY }
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
