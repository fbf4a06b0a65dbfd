import { afterAll, beforeAll, expect, test } from 'bun:test'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Visitor } from '../support/browser/visitor.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/servers/ports.ts'

const ROOT = join(import.meta.dir, '../..')
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** Returns the shell blocks of a section. */
function commandsOf(section: string): string[] {
  const text = readme.split(/^## /m).find((part) => part.startsWith(section)) ?? ''
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '')
}

const folder = mkdtempSync(join(tmpdir(), 'ch202-readme-'))
const dataDir = join(folder, 'data')

/** Builds the PATH of a machine with Node only: npx finds Bun, the shell does not. */
function pathWithNodeOnly(): string {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  for (const program of ['sh', 'bash', 'env', 'curl', 'sed', 'rm', 'cat']) {
    const path = Bun.which(program)
    if (path) symlinkSync(path, join(bin, program))
  }
  const bunDirectory = join(folder, 'npx-bun')
  mkdirSync(bunDirectory)
  symlinkSync(process.execPath, join(bunDirectory, 'bun'))
  // Does the same as npx, without a request to the registry.
  const npx = `#!/bin/sh\n[ "$1" = bun ] || exit 127\nPATH="${bunDirectory}:$PATH" exec "$@"\n`
  writeFileSync(join(bin, 'npx'), npx)
  chmodSync(join(bin, 'npx'), 0o755)
  return bin
}

const env = {
  ...process.env,
  CH202_DATA_DIR: dataDir,
  AUTH_URL: `http://127.0.0.1:${freePort()}`,
  USERS_URL: `http://127.0.0.1:${freePort()}`,
  MODULES_URL: `http://127.0.0.1:${freePort()}`,
  WEB_URL: `http://127.0.0.1:${freePort()}`,
  PATH: pathWithNodeOnly(),
}
let services: Bun.Subprocess<'ignore', 'pipe', 'inherit'>

beforeAll(async () => {
  const [first = ''] = commandsOf('Run it')
  const start = first.split('\n')[0]?.split('#')[0]?.trim().split(' ') ?? []
  expect(start).toEqual(['npx', 'bun', 'start'])
  services = Bun.spawn(start, { cwd: ROOT, env, stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const ready = Promise.withResolvers<void>()
  const follow = async () => {
    let printed = ''
    const decoder = new TextDecoder()
    for await (const chunk of services.stdout) {
      printed += decoder.decode(chunk, { stream: true })
      if (printed.match(/ ready at /g)?.length === 4) ready.resolve()
    }
    ready.reject(new Error(`The start ended before the services were ready:\n${printed}`))
  }
  follow().catch(ready.reject)
  await ready.promise
}, 600_000)

afterAll(async () => {
  services.kill('SIGTERM')
  await services.exited
  rmSync(folder, { recursive: true, force: true })
})

test('S1: every command works on a machine with Node only, where only npx finds Bun', () => {
  const lookup = Bun.spawnSync(['sh', '-c', 'command -v bun; command -v npx'], { env })
  expect(lookup.stdout.toString().trim()).toBe(join(env.PATH, 'npx'))
  const sections = readme.split(/^## /m).map((part) => part.split('\n')[0] ?? '')
  const commands = sections.flatMap(commandsOf).flatMap((block) => block.split('\n'))
  expect(commands.filter((line) => /\bbun (start|run|ch202)\b/.test(line)).length).toBeGreaterThan(10)
  expect(commands.filter((line) => /(?<!npx )\bbun (start|run|ch202)\b/.test(line))).toEqual([])
  // The text mentions only one command for machines with Bun.
  const commandsInText = [...readme.matchAll(/`([^`\n]*\bbun [a-z][^`\n]*)`/g)].map((match) => match[1] ?? '')
  expect(commandsInText.filter((command) => !command.startsWith('npx '))).toEqual(['bun start'])
})

test('S2: the tour begins on the pages: create an account, find the mail, verify the email, sign in', async () => {
  expect(readme).toContain('open <http://127.0.0.1:3000> and create an account')
  const [find = ''] = commandsOf('Tour')
  const [email, password] = ['eva@example.org', 'correct horse battery']
  const visitor = new Visitor(env.WEB_URL)
  const start = await visitor.open('/')
  expect(start.at).toBe('/sign-in')
  expect(start.text).toContain('href="/sign-up"')
  const registered = await visitor.fillIn('/sign-up', { email, password })
  expect(registered.at).toBe('/verify-email')
  // The page says where the mail is.
  expect(registered.text).toContain(`${dataDir}/mail/`)
  const mail = await eventually(async () => {
    const { stdout } = Bun.spawnSync(['bash', '-c', find.replace('data/', `${dataDir}/`)], { cwd: ROOT, env })
    return stdout.toString().includes(email) ? stdout.toString() : undefined
  })
  const [, code = ''] = /^\s*(\d{3} ?\d{3})\s*$/m.exec(mail.replaceAll('\r', '')) ?? []
  const verified = await visitor.fillIn('/verify-email', { code })
  expect([verified.at, verified.status]).toEqual(['/account?done=verified', 200])
  expect((await visitor.signOut()).at).toStartWith('/sign-in')
  expect((await visitor.open('/account')).at).toStartWith('/sign-in')
  const back = await visitor.fillIn('/sign-in', { login: email, password })
  expect([back.at, back.text.includes(email)]).toEqual(['/account', true])
}, 600_000)

test('S1: the tour works as printed', async () => {
  const blocks = commandsOf('Tour').slice(1)
  expect(blocks.length).toBeGreaterThanOrEqual(4)
  const script = blocks
    .map((block, index) => `printf "\\n--- ${index}\\n"\n${block}`)
    .join('\n')
    .replace('AUTH=http://127.0.0.1:3001', `AUTH=${env.AUTH_URL}`)
    .replace('MODULES=http://127.0.0.1:3003', `MODULES=${env.MODULES_URL}`)
  const run = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script], { cwd: ROOT, env, stdout: 'pipe', stderr: 'pipe' })
  const [output, errors, status] = await Promise.all([
    new Response(run.stdout).text(),
    new Response(run.stderr).text(),
    run.exited,
  ])
  expect({ status, errors: status === 0 ? '' : errors }).toEqual({ status: 0, errors: '' })
  const answers = output.split(/^--- \d+$/m).slice(1)
  expect(answers[0]).toContain('root@example.org')
  expect(answers[0]).toContain('"refresh_token"')
  expect(answers[1]).toContain('"username":"ana"')
  expect(answers[2]).toContain('billing')
  expect(answers[2]).toContain('"enabled":true')
  expect(answers[3]).toContain('"code":"token_revoked"')
}, 600_000)

test('S1: the commands for operators work after the tour', async () => {
  const [block = ''] = commandsOf('Operate it')
  const script = block.replaceAll('/tmp/ch202-users.jsonl', join(dataDir, 'ch202-users.jsonl'))
  const run = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script], { cwd: ROOT, env, stdout: 'pipe', stderr: 'pipe' })
  const [output, errors, status] = await Promise.all([
    new Response(run.stdout).text(),
    new Response(run.stderr).text(),
    run.exited,
  ])
  expect({ status, errors: status === 0 ? '' : errors }).toEqual({ status: 0, errors: '' })
  expect(output).toMatch(/password +[\w-]{24}/)
  expect(output).toContain('ch202 users enable ben@example.org')
}, 600_000)

test('the README names every dependency', async () => {
  const { dependencies } = (await import('../../package.json')) as { dependencies: Record<string, string> }
  for (const [name, version] of Object.entries(dependencies)) {
    expect(readme).toContain(`\`${name}\``)
    expect(version).toMatch(/^\d+\.\d+\.\d+$/)
  }
})

test('the README fits two screens', () => {
  expect(readme.split('\n').length).toBeLessThanOrEqual(110)
})
