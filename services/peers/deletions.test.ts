import { expect, test } from 'bun:test'
import { deletionListeners } from './deletions.ts'

const cause = new TypeError('Connection refused')
const unreachable = () => ({ url: 'http://localhost', key: 'the-internal-key', fetch: () => Promise.reject(cause) })

// A status of 500 or above is no refusal: the outbox sends the notice again.
test.each([
  ['modules', 'modules_unavailable', 503],
  ['products', 'internal_error', 500],
])('%s that cannot be reached is reported as %s, with the cause for the log', async (name, code, status) => {
  const [listener] = deletionListeners([name], unreachable)
  const delivery = listener?.userDeleted('0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e')
  await expect(delivery).rejects.toMatchObject({ code, status, cause })
})
