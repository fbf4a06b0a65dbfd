import { parseArgs } from 'node:util'

// The maximum rate of bcrypt checks on this machine: `bun bench/limits/bcrypt.ts --at-once 8 --seconds 5`

const { values } = parseArgs({
  options: { 'at-once': { type: 'string', default: '1' }, seconds: { type: 'string', default: '5' } },
})
const hash = await Bun.password.hash('correct horse battery', { algorithm: 'bcrypt', cost: 10 })
const startedAt = performance.now()
const end = startedAt + Number(values.seconds) * 1000
let checks = 0
const worker = async () => {
  while (performance.now() < end) {
    await Bun.password.verify('correct horse battery', hash)
    checks++
  }
}
await Promise.all(Array.from({ length: Number(values['at-once']) }, worker))
console.log(JSON.stringify({ rate: checks / ((performance.now() - startedAt) / 1000) }))
