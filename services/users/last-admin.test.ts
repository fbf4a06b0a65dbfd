import { expect, test } from 'bun:test'
import { isLastAdmin, removesAdmin } from './last-admin.ts'

const ADMIN = { roles: ['USER', 'ADMIN'], status: 'active' } as const
const DISABLED = { ...ADMIN, status: 'disabled' } as const
const USER = { roles: ['USER'], status: 'active' } as const
type Fields = Parameters<typeof removesAdmin>[0]

const CHANGES: [name: string, before: object, after: object | null, removes: boolean][] = [
  ['removing an administrator', ADMIN, null, true],
  ['disabling an administrator', ADMIN, DISABLED, true],
  ['taking the role ADMIN away', ADMIN, USER, true],
  ['another change of an administrator', ADMIN, ADMIN, false],
  ['removing a user', USER, null, false],
  ['removing a disabled administrator', DISABLED, null, false],
  ['giving the role ADMIN', USER, ADMIN, false],
]
test.each(CHANGES)('%s takes an active administrator away: %#', (_, before, after, removes) => {
  expect(removesAdmin(before as Fields, after as Fields | null)).toBe(removes)
})

test('only the last administrator must stay', () => {
  expect([1, 2, 3].map(isLastAdmin)).toEqual([true, false, false])
})
