import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { call } from '../support/http.ts'
import { formsOf, mailsTo } from '../support/mails.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { launch, ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const directory = temporary('own-texts')
afterAll(directory.remove)

function write(dataDir: string, files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(dataDir, 'mails', name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
}

describe('own texts of mails with faults', () => {
  const FILES = {
    'de/device.txt': '{{code}}',
    'en/hello.txt': 'Hello',
    'ru/device.txt': '{{code}} {{link}}',
    'ru/device.html': '<p>{{product}}</p>',
  }

  test.each([
    ['all services', []],
    ['auth alone', ['auth']],
  ])('stop the start of %s, with one message that lists every fault', async (_, names) => {
    const dataDir = directory.fresh()
    write(dataDir, FILES)
    const env = ownSettings(dataDir)
    const { status, stderr } = await runTool(['serve', ...names], { env })
    expect(status).toBe(1)
    expect(stderr.match(/The settings are not valid/g)).toHaveLength(1)
    for (const fault of [
      'mails/de is unknown',
      'mails/en/hello.txt is unknown',
      'mails/ru/device.txt has the unknown placeholder {{link}}',
      'mails/ru/device.html must have {{code}}',
    ])
      expect(stderr).toContain(`  - ${fault}`)
    expect(stderr).not.toMatch(/\n +at /)
  })

  test('do not stop the start of another service', async () => {
    const dataDir = directory.fresh()
    write(dataDir, FILES)
    const users = launch([process.execPath, 'cli/main.ts', 'serve', 'users'], { env: ownSettings(dataDir) })
    await users.printed(/http:\/\//)
    users.signal('SIGTERM')
    expect((await users.ended).status).toBe(0)
  })
})

describe('own texts of mails', () => {
  let system: System
  beforeAll(async () => {
    system = await processes('together', { RATE_LIMIT: 'off', PRODUCT_NAME: 'Acme & Sons' })
    write(system.dataDir, {
      'en/password_reset.subject.txt': 'Own subject of {{product}}\n',
      'en/password_reset.txt': 'Own text: {{link}} until {{expires}}\n',
      'en/password_reset.html':
        '<!doctype html><p>Own <b>HTML</b> of {{product}}: <a href="{{link}}">{{expires}}</a></p>\n',
    })
    await system.kill('auth')
    await system.start('auth')
  })
  afterAll(() => system?.stop())

  test('are in the mail that arrives, as text and as HTML', async () => {
    const { email } = await registerUser(system)
    // A registration sends mails of its own.
    const ownMail = () => mailsTo(system, email).find((mail) => mail.includes('Subject: Own subject of Acme & Sons\n'))
    expect((await call(system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email } })).status).toBe(
      202,
    )
    const { html, text } = formsOf(await eventually(ownMail))
    const link = /https:\/\/app\.example\.org\/reset-password\?token=[\w-]{22}/.exec(text)?.[0]
    expect(text).toMatch(/^Own text: \S+ until \d+ \w+ \d{4}, \d\d:\d\d UTC\n$/)
    expect(html).toStartWith(`<!doctype html><p>Own <b>HTML</b> of Acme &amp; Sons: <a href="${link}">`)
  })
})
