import { expect, test } from 'bun:test'
import { createUser, newEmail } from '../support/actors.ts'
import { as, byOperator } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const SUPPORT = 'SUPPORT'
const ROUNDS = 20

// On PostgreSQL, requests read a user at the same time and write one after the other.
const here = running((env) => inProcess(env, { databases: 'postgres' }), { SUPPORT_ROLE: SUPPORT })

test('contract 11, support: a user who gets ADMIN while they are disabled and enabled is not touched afterwards', async () => {
  const { users } = here
  const { tokens } = await createUser(here.system, { roles: [SUPPORT] })
  const headers = as.bearer(tokens.access_token)
  for (let round = 0; round < ROUNDS; round++) {
    const created = await users('POST /users', byOperator({ email: newEmail() }))
    const path = `/users/${created.body.id}`
    const changes = (count: number) =>
      Array.from({ length: count }, (_, n) =>
        users(`PATCH ${path}`, { headers, body: { status: n % 2 === 0 ? 'disabled' : 'active' } }),
      )
    const before = changes(1 + (round % 4))
    const granted = users(`PATCH ${path}`, byOperator({ roles: ['ADMIN'] }))
    const answers = await Promise.all([...before, ...changes(6)])
    const { status } = (await granted).body
    // An answer shows the record that its change was made to.
    for (const { body, ...answer } of answers) {
      if (answer.status === 200) expect(body.roles).toEqual(['USER'])
      else expect([answer.status, body.code]).toEqual([404, 'user_not_found'])
    }
    expect((await users(`GET ${path}`, byOperator())).body).toMatchObject({ roles: ['ADMIN'], status })
  }
})
