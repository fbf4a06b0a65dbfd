import { expect, setDefaultTimeout, test } from 'bun:test'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'

setDefaultTimeout(120_000)

const levelsIn = (output: string) =>
  output.split('\n').flatMap((line) => {
    const { event, level } = line.startsWith('{') ? JSON.parse(line) : {}
    return level === undefined || level === 'info' ? [] : [`${level} ${event}`]
  })

test('a stop, and requests that the process sheds, are no warnings: each has its line with the code', async () => {
  const system = await processes('together', { HASH_QUEUE: '1', RATE_LIMIT: 'off', LOG_LEVEL: 'info' })
  try {
    const headers = as.operator
    const body = () => ({ email: newEmail(), password: PASSWORD })
    const answers = await Promise.all(
      Array.from({ length: 24 }, () => call(system.url.users, 'POST /users', { headers, body: body() })),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 503]))
    expect(await system.terminate('auth')).toBe(0)
    expect(levelsIn(system.output())).toEqual([])
    const sheds = system.output().match(/"event":"request".*"status":503.*"code":"overloaded"/g)
    expect(sheds).toHaveLength(answers.filter(({ status }) => status === 503).length)
  } finally {
    await system.stop()
  }
})
