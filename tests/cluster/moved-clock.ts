import { readFileSync } from 'node:fs'

// Is loaded by a node before the program. Moves its clock by the milliseconds in a file, which change while it runs.
const file = process.env.CH202_TEST_CLOCK
const { now } = Date
if (file !== undefined) Date.now = () => now() + Number(readFileSync(file, 'utf8'))
