import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { settingDefaults } from '../services/kit/config.ts'
import { freePort } from './harness.ts'

const ROOT = join(import.meta.dir, '..')
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** The commands of a section, as they are printed. */
function commandsOf(section: string): string[] {
  const text = readme.split(/^## /m).find((part) => part.startsWith(section)) ?? ''
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '')
}

const dataDir = mkdtempSync(join(tmpdir(), 'ch202-readme-'))
const address = { AUTH: freePort(), USERS: freePort(), MODULES: freePort() }
const env = {
  ...process.env,
  CH202_DATA_DIR: dataDir,
  AUTH_URL: `http://127.0.0.1:${address.AUTH}`,
  USERS_URL: `http://127.0.0.1:${address.USERS}`,
  MODULES_URL: `http://127.0.0.1:${address.MODULES}`,
  // `bun` in the README is the Bun that runs the tests.
  PATH: `${join(process.execPath, '..')}:${process.env.PATH}`,
}
let services: Bun.Subprocess<'ignore', 'pipe', 'inherit'>

beforeAll(async () => {
  const [first = ''] = commandsOf('Run it')
  const start = first.split('\n')[0]?.split('#')[0]?.trim().split(' ') ?? []
  expect(start).toEqual(['bun', 'start'])
  services = Bun.spawn(start, { cwd: ROOT, env, stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const ready = Promise.withResolvers<void>()
  const follow = async () => {
    let printed = ''
    const decoder = new TextDecoder()
    for await (const chunk of services.stdout) {
      printed += decoder.decode(chunk, { stream: true })
      if (printed.match(/ ready at /g)?.length === 3) ready.resolve()
    }
    ready.reject(new Error(`It ended before it was ready:\n${printed}`))
  }
  follow().catch(ready.reject)
  await ready.promise
}, 20_000)

afterAll(async () => {
  services.kill('SIGTERM')
  await services.exited
  rmSync(dataDir, { recursive: true, force: true })
})

test('the tour works as printed', async () => {
  const blocks = commandsOf('A tour')
  expect(blocks.length).toBeGreaterThanOrEqual(7)
  const script = blocks
    .map((block, index) => `printf "\\n--- ${index}\\n"\n${block}`)
    .join('\n')
    .replace('AUTH=http://127.0.0.1:3001', `AUTH=${env.AUTH_URL}`)
    .replace('USERS=http://127.0.0.1:3002', `USERS=${env.USERS_URL}`)
    .replace('MODULES=http://127.0.0.1:3003', `MODULES=${env.MODULES_URL}`)
  const run = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script], { cwd: ROOT, env, stdout: 'pipe', stderr: 'pipe' })
  const [output, errors, status] = await Promise.all([
    new Response(run.stdout).text(),
    new Response(run.stderr).text(),
    run.exited,
  ])
  expect({ status, errors: status === 0 ? '' : errors }).toEqual({ status: 0, errors: '' })
  const said = output.split(/^--- \d+$/m).slice(1)
  expect(said[0]).toContain('root@example.org')
  expect(said[1]).toContain('"refresh_token"')
  expect(said[2]).toContain('"username":"ana"')
  expect(said[3]).toContain('"id":"billing"')
  expect(said[4]).toContain('"enabled":false')
  expect(said[4]).toContain('"enabled":true')
  expect(said[6]).toContain('"code":"token_revoked"')
}, 30_000)

test('an operator can do what it says, after the tour', async () => {
  const [block = ''] = commandsOf('Operate it')
  const script = block.replaceAll('/tmp/ch202-users.jsonl', join(dataDir, 'ch202-users.jsonl'))
  const run = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script], { cwd: ROOT, env, stdout: 'pipe', stderr: 'pipe' })
  const [output, errors, status] = await Promise.all([
    new Response(run.stdout).text(),
    new Response(run.stderr).text(),
    run.exited,
  ])
  expect({ status, errors: status === 0 ? '' : errors }).toEqual({ status: 0, errors: '' })
  expect(output).toContain('ana')
  expect(output).toMatch(/password +[\w-]{24}/)
  expect(output).toContain('ch202 users enable ben@example.org')
  expect(output).toContain('"email":"root@example.org"')
}, 30_000)

test('every setting of the README is one that the program reads, and the other way round', () => {
  const read = settingDefaults({}).keys()
  const section = readme.split(/^## /m).find((part) => part.startsWith('Settings')) ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  const told = new Set(
    rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([A-Z0-9_]+)`/g)].map((m) => m[1] ?? '')),
  )
  expect([...told].sort()).toEqual([...read].sort())
})

test('every dependency is named in the README', async () => {
  const { dependencies } = (await import('../package.json')) as { dependencies: Record<string, string> }
  for (const [name, version] of Object.entries(dependencies)) {
    expect(readme).toContain(`\`${name}\``)
    expect(version).toMatch(/^\d+\.\d+\.\d+$/)
  }
})
