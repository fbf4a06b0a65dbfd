import { expect, test } from 'bun:test'
import { Problem } from './problem.ts'
import { repeated } from './repeated.ts'

const NEVER = new Promise<never>(() => undefined)
const LONG = 60_000

/** A call whose attempts behave as the list says. */
function attempts(...list: (() => Promise<string>)[]) {
  const counted = { count: 0, call: () => (list[counted.count++] ?? (() => NEVER))() }
  return counted
}
const answered = (text: string) => () => Promise.resolve(text)
const failing = (error: Error) => () => Promise.reject(error)
const AWAY = new Problem('auth_unavailable')

test('an answer ends the attempts', async () => {
  const one = attempts(answered('one'))
  expect(await repeated(one.call, { after: 1, times: 3 })).toBe('one')
  await Bun.sleep(20)
  expect(one.count).toBe(1)
})

test('a call without an answer is made again, and the first answer counts', async () => {
  const one = attempts(() => NEVER, answered('two'))
  expect(await repeated(one.call, { after: 1, times: 3 })).toBe('two')
})

test('a call that fails is made again at once', async () => {
  const one = attempts(failing(AWAY), failing(AWAY), answered('three'))
  expect(await repeated(one.call, { after: LONG, times: 3 })).toBe('three')
})

test('fails when all attempts have failed, and not before', async () => {
  const last = new Problem('auth_unavailable')
  const one = attempts(failing(AWAY), failing(AWAY), failing(last))
  await expect(repeated(one.call, { after: LONG, times: 3 })).rejects.toBe(last)
  expect(one.count).toBe(3)
  const late = Promise.withResolvers<string>()
  const two = attempts(() => late.promise, failing(AWAY))
  const result = repeated(two.call, { after: 1, times: 2 })
  await Bun.sleep(20)
  late.resolve('late')
  expect(await result).toBe('late')
})

test('a refusal is the answer', async () => {
  const refusal = new Problem('user_not_found')
  const one = attempts(failing(refusal))
  await expect(repeated(one.call, { after: 1, times: 3 })).rejects.toBe(refusal)
  await Bun.sleep(20)
  expect(one.count).toBe(1)
})
