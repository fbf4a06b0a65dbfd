import { afterAll, describe, expect, test } from 'bun:test'
import { eventually } from '../support/eventually.ts'
import { awaitReadiness, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

/** A service that takes connections and answers nothing. */
const silent = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 0,
  fetch: () => new Promise<Response>(() => {}),
})
afterAll(() => silent.stop(true))

describe('GET /health/ready', () => {
  let usersUrl: string | undefined
  const here = running(() =>
    inProcess(
      {},
      { layout: 'apart', settingsOf: (name) => (name === 'auth' && usersUrl ? { USERS_URL: usersUrl } : {}) },
    ),
  )
  const verdict = async (name: 'auth' | 'users' | 'modules') => {
    const { body, status } = await call(here.system.url[name], 'GET /health/ready')
    return status === 200 ? 'ready' : `${status} ${body.code}`
  }

  test('is 503 at the services that auth left, until it is back', async () => {
    await awaitReadiness(here.system)
    await here.system.terminate('auth')
    for (const name of ['users', 'modules'] as const)
      await eventually(async () => (await verdict(name)) === '503 auth_unavailable')
    await here.system.start('auth')
    await awaitReadiness(here.system)
  })

  test('is 503 while auth waits for what it missed, and answers at once', async () => {
    await here.system.terminate('auth')
    usersUrl = `http://127.0.0.1:${silent.port}`
    const start = here.system.start('auth')
    const before = await eventually(() => verdict('auth').catch(() => undefined))
    usersUrl = undefined
    await start
    expect([before, await verdict('auth')]).toEqual(['503 auth_unavailable', 'ready'])
  })
})
