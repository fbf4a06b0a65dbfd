import { call } from '../support/http.ts'
import { exchange } from '../support/sockets.ts'
import type { Prepared } from './prepare.ts'
import { rawShape } from './raw.ts'
import type { Drawn } from './requests.ts'
import type { Reply } from './verdict.ts'

/** Milliseconds that a raw request waits for an answer: some of them get none. */
const RAW_PATIENCE = 400
/** Milliseconds after which a request counts as never answered. */
const NO_ANSWER = 60_000

type Answered = Omit<Reply, 'took'>

/** Sends a request, and times it. @param raw the form in which it goes over a socket, if `fetch` would normalise it */
export async function sent(base: string, prepared: Prepared, raw?: string): Promise<Reply> {
  const began = performance.now()
  const answer = await inTime(raw === undefined ? sendTidy(base, prepared) : sendRaw(base, raw, prepared))
  return { ...answer, took: performance.now() - began }
}

/** Ends the wait for a request that is never answered. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('There is no answer')), NO_ANSWER)
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
  }
}

async function sendTidy(base: string, { body, headers, method, target }: Prepared): Promise<Answered> {
  const sent = new Headers()
  for (const [name, value] of headers) sent.set(name, value)
  return await call(base, `${method} ${target}`, {
    headers: Object.fromEntries(sent),
    ...(body === undefined ? {} : { body }),
  })
}

async function sendRaw(base: string, how: string, prepared: Prepared): Promise<Answered> {
  const { headers, line } = rawShape(how, prepared)
  const head = [line, ...headers, 'Connection: close', '', ''].join('\r\n')
  const body = prepared.body === undefined ? [] : [Buffer.from(prepared.body as string)]
  const answer = await exchange(base, [Buffer.from(head, 'latin1'), ...body], RAW_PATIENCE)
  return { ...answer, headers: { get: (name) => answer.headers.get(name) ?? null } }
}

/** A request and its answer, for whoever has to fix the fault. */
export function shown({ caller, kind }: Drawn, { body, headers, method, target }: Prepared, reply: Reply): string {
  const others = headers.filter(([name]) => name !== 'authorization' && name !== 'x-api-key')
  const text = body === undefined ? '' : ` ${String(body).slice(0, 500)}`
  return `${kind}, from ${caller}: ${method} ${target} ${JSON.stringify(others.slice(0, 9))}${text}\n  → ${reply.status} ${reply.text.slice(0, 500)}`
}
