import { describe, expect, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'

describe('the cluster of the tests', () => {
  const here = running(cluster)

  test('answers by every node, also by one that is added', async () => {
    const user = await registerUser(here.system)
    const added = await here.system.add('users')
    for (const node of here.system.nodes.users)
      expect(
        (await call(node.url, `GET /users/${user.id}`, { headers: as.bearer(user.tokens.access_token) })).status,
      ).toBe(200)
    await added.kill()
    for (let n = 0; n < 8; n++)
      expect((await here.users(`GET /users/${user.id}`, { headers: as.operator })).status).toBe(200)
  })
})
