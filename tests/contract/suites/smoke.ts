import { expect, test } from 'bun:test'
import { registerUser } from '../../support/actors.ts'
import { as, call } from '../../support/http.ts'
import { running, type Start } from '../../support/running.ts'

export function firstSteps(start: Start): void {
  const here = running(start)

  test('are to register, read their account, enable a module and log out', async () => {
    const user = await registerUser(here.system)
    const bearer = as.bearer(user.tokens.access_token)
    expect((await call(here.system.url.users, `GET /users/${user.id}`, { headers: bearer })).status).toBe(200)
    await call(here.system.url.modules, 'POST /modules', {
      headers: as.operator,
      body: { id: 'billing', name: 'Billing', description: 'Invoices' },
    })
    const enabled = await call(here.system.url.modules, 'POST /modules/billing/enable', { headers: bearer })
    expect(enabled.body).toMatchObject({ id: 'billing', enabled: true })
    expect((await call(here.system.url.auth, 'POST /auth/logout', { headers: bearer })).status).toBe(204)
    for (const [base, path] of [
      [here.system.url.users, `/users/${user.id}`],
      [here.system.url.modules, '/modules/'],
      [here.system.url.auth, '/auth/me'],
    ])
      expect((await call(base ?? '', `GET ${path}`, { headers: bearer })).body.code).toBe('token_revoked')
  })
}
