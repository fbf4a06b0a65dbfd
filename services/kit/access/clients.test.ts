import { expect, test } from 'bun:test'
import { subscriberName } from './clients.ts'

test('16: a client acknowledges pages of a feed in its own name only', () => {
  const [one, other] = ['a', 'b'].map((id) => ({ client: { id, scopes: [] } }))
  const names = [{ client: null }, one, other].map((caller) => subscriberName(caller ?? { client: null }, 'users'))
  expect(names).toEqual(['users', 'a/users', 'b/users'])
})
