import { expect, setDefaultTimeout, test } from 'bun:test'
import { PROMPT } from '../../../tests/support/eventually.ts'
import { launch } from '../../../tests/support/tool.ts'

setDefaultTimeout(120_000)

const PASSWORD = 'canary-horse-7Qd2'
const IMPORTS = `
  import { PasswordHasher } from './services/kit/passwords/hasher.ts'
  import { HashWorkers } from './services/kit/passwords/hash-workers.ts'
  const settings = { passwordHash: 'bcrypt', bcryptCost: 4, hashQueue: 64 }`

/** Runs a script in a process of its own, which has the password in an environment variable. */
const run = (script: string) =>
  launch([process.execPath, '-e', `${IMPORTS}\nconst PASSWORD = process.env.SECRET\n${script}`], {
    env: { SECRET: PASSWORD },
  }).ended

test('a process waits for a hash, but not for threads without one', async () => {
  const { status, stderr, stdout, took } = await run(`
    const hasher = new PasswordHasher({ ...settings, bcryptCost: 10 }, undefined, 2)
    await Promise.all([1, 2, 3].map(() => hasher.hash(PASSWORD)))
    hasher.hash(PASSWORD).then(() => console.log('hashed'))`)
  expect([status, stderr, stdout]).toEqual([0, '', 'hashed\n'])
  // An idle thread would end after a minute.
  expect(took).toBeLessThan(PROMPT)
})

test.each([
  ['of bcrypt', `hasher.hash(PASSWORD)`],
  ['of another system', "hasher.verify(PASSWORD, '$pbkdf2-sha256$i=6000000$' + 'A'.repeat(22) + '$' + 'A'.repeat(43))"],
])('an exit does not wait for hashes that take minutes: %s', async (_, hash) => {
  const { status, stderr, took } = await run(`
    const hasher = new PasswordHasher({ ...settings, bcryptCost: 20 }, undefined, 4)
    for (let i = 0; i < 64; i++) void ${hash}
    setTimeout(() => process.exit(7), 300)`)
  expect([status, stderr]).toEqual([7, ''])
  expect(took).toBeLessThan(PROMPT)
})

test('a thread that fails writes nothing, and no error has the password', async () => {
  const ways = ['ends', 'throws', 'rejects', 'loops']
  const { status, stderr, stdout } = await run(`
    const workers = new HashWorkers({ program: process.cwd() + '/tests/fixtures/failing-hash-worker.ts' })
    for (const way of ${JSON.stringify(ways)}) {
      const job = { kind: 'hash', password: way + ' ' + PASSWORD, parameters: { algorithm: 'bcrypt', cost: 4 } }
      await workers.run(job, 1000).catch((error) => console.log(Bun.inspect(error)))
    }
    const real = new HashWorkers()
    const invalid = { kind: 'hash', password: PASSWORD, parameters: { algorithm: 'bcrypt', cost: 99 } }
    await real.run(invalid, 60_000).catch((error) => console.log(Bun.inspect(error)))`)
  expect([status, stderr]).toEqual([0, ''])
  expect(stdout.match(/WorkerFailure/g)?.length).toBeGreaterThanOrEqual(ways.length)
  expect(stdout).not.toContain(PASSWORD)
})

test('a thread needs little memory, however many hashes it has computed', async () => {
  const THREADS = 8
  const { status, stderr, stdout } = await run(`
    const hasher = new PasswordHasher(settings, undefined, ${THREADS})
    await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
    const before = process.memoryUsage.rss()
    for (let round = 0; round < 50; round++) await Promise.all(Array.from({ length: 64 }, () => hasher.hash(PASSWORD)))
    console.log(process.memoryUsage.rss() - before)`)
  expect([status, stderr]).toEqual([0, ''])
  // Measured: 4 MB a thread.
  expect(Number(stdout) / THREADS).toBeLessThan(12 * 1024 * 1024)
})
