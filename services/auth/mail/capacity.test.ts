import { expect, test } from 'bun:test'
import { MINUTE, SECOND } from '../../kit/clock.ts'
import { capacityBeside } from './capacity.ts'

const NOW = 1_000_000
/** The starts of attempts that began `ago` milliseconds ago. */
const begun = (count: number, ago: number) => Array.from({ length: count }, () => NOW - ago)

test.each([
  ['no attempt', [], { free: 8, freeIn: MINUTE }],
  ['a new attempt', begun(1, 0), { free: 7, freeIn: 2 * SECOND }],
  ['as many new attempts as may run', [...begun(7, 0), NOW - 1500], { free: 0, freeIn: 500 }],
  ['slow attempts, which make room', begun(50, 2 * SECOND), { free: 8, freeIn: MINUTE }],
  ['almost as many slow attempts as there may be', begun(98, 2 * SECOND), { free: 2, freeIn: MINUTE }],
  ['as many attempts as there may be', [...begun(96, 2 * SECOND), ...begun(4, 0)], { free: 0, freeIn: MINUTE }],
])('beside %s', (_, starts, expected) => {
  expect(capacityBeside(starts, NOW)).toEqual(expected)
})
