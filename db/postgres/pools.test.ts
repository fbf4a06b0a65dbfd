import { expect, test } from 'bun:test'
import { NODE_CONNECTION, nodeName } from './pools.ts'

/** PostgreSQL cuts `application_name` off after this many bytes. */
const NAME_MAX = 63

test('the name of a node keeps its process, however long the name of its machine is', () => {
  const name = NODE_CONNECTION + nodeName(4_194_304, 'pod-'.repeat(16))
  expect(name.length).toBeLessThanOrEqual(NAME_MAX)
  expect(name).toEndWith(':4194304')
  expect(nodeName(7, 'db-1')).toBe('db-1:7')
})
