import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { nextMail } from '../support/challenges.ts'
import { as, call } from '../support/http.ts'
import { openInstance } from '../support/shell.ts'

setDefaultTimeout(120_000)

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('device', { DEVICE_TRUST: 'all' })
})
afterAll(() => instance?.close())

test('11: a login from a new device asks for the code, and the next one knows the device', async () => {
  const { shell, system } = instance
  const email = newEmail()
  const body = { email, password: PASSWORD, roles: ['USER', 'ADMIN'], email_verified: true }
  await call(system.url.users, 'POST /api/v1/users', { headers: as.operator, body })
  const line = `ch202 login ${system.url.auth} --email ${email}`
  const refused = await shell.run(`${line} --password-stdin`, { stdin: PASSWORD })
  expect([refused.status, refused.stderr]).toEqual([4, expect.stringMatching(/in a terminal.*\n→ ch202 login http/)])
  await nextMail(system, email, 0)
  const terminal = shell.inTerminal(line, { typed: [[/Password/, `${PASSWORD}\r`]], env: { NO_COLOR: '1' } })
  await terminal.shows(/Code in the email to/)
  terminal.type(`${(await nextMail(system, email, 1)).code}\r`)
  expect((await terminal.ended).status).toBe(0)
  expect(await shell.run(`${line} --password-stdin`, { stdin: PASSWORD })).toMatchObject({ status: 0 })
})
