import { describe, expect, test } from 'bun:test'
import { createUser, registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

describe('bodies', () => {
  const here = running(inProcess)

  test('check 19: an unknown field is refused even where no body is expected, and nothing changes', async () => {
    const user = await registerUser(here.system)
    const { users, auth } = here.system.url
    for (const [base, request] of [
      [users, `DELETE /users/${user.id}`],
      [users, `DELETE /user/${user.id}`],
      [auth, `DELETE /auth/sessions?user_id=${user.id}`],
      [auth, `DELETE /auth/sessions/${user.tokens.session_id}`],
      [auth, `DELETE /admin/password-cache/${user.id}`],
    ] as const) {
      const refused = await call(base, request, { headers: as.operator, body: { nickname: 1 } })
      expect([request, refused.status, refused.body.message]).toEqual([request, 400, ['nickname should not exist']])
      // Credentials are checked first.
      expect((await call(base, request, { body: { nickname: 1 } })).status).toBe(401)
    }
    const bearer = as.bearer(user.tokens.access_token)
    expect((await call(auth, 'GET /auth/me', { headers: bearer })).status).toBe(200)
    expect((await call(users, `DELETE /users/${user.id}`, { headers: bearer, body: {} })).status).toBe(204)
  })

  test('check 19: the fields of an operator are forbidden to others in v0 too', async () => {
    const body = { email: 'v0-roles@example.org', password: 'correct horse battery' }
    for (const [base, request] of [
      [here.system.url.auth, 'POST /auth/register'],
      [here.system.url.users, 'POST /user'],
    ] as const)
      for (const field of [{ roles: ['ADMIN'] }, { status: 'active' }, { email_verified: true }]) {
        const refused = await call(base, request, { body: { ...body, ...field } })
        expect([request, refused.status, refused.body.code]).toEqual([request, 403, 'forbidden_field'])
      }
    const headers = { ...as.operator }
    const answer = await call(here.system.url.users, 'POST /user', {
      headers,
      body: { ...body, roles: ['USER', 'EDITOR'] },
    })
    expect(answer.body).toEqual({ id: answer.body.id, email: body.email, roles: ['USER', 'EDITOR'] })
  })

  test('check 25: ten megabytes are refused with a Problem, each time', async () => {
    const { tokens } = await createUser(here.system)
    const body = `{"email":"${'x'.repeat(10 * 1024 * 1024)}"}`
    const headers = { ...as.bearer(tokens.access_token), 'content-type': 'application/json' }
    for (let n = 0; n < 10; n++) {
      const refused = await call(here.system.url.auth, 'POST /api/v1/auth/login', { headers, body })
      expect([refused.status, refused.body.code]).toEqual([413, 'body_too_large'])
    }
  })
})
