import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EVENT_TYPES } from '../../services/kit/schema/events.ts'
import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { call } from '../support/http.ts'
import { freePort } from '../support/servers/ports.ts'
import { Receiver } from '../support/servers/receiver.ts'
import { openInstance } from '../support/shell.ts'
import { launch, ROOT } from '../support/tool.ts'

setDefaultTimeout(120_000)

const page = readFileSync(join(ROOT, 'docs/integrate/webhooks.md'), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, text = '']) => text)

const ADDRESS = 'https://shop.example.org/hooks/ch202'
const ID = '0198c7a2-9c3d-7e10-8f21-7b6a5d4c3b2a'

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('webhooks-page')
})
afterAll(() => instance.close())

test('the receiver of docs/integrate/webhooks.md accepts each event once, and nothing unsigned', async () => {
  const { shell, system } = instance
  const [code = ''] = blocks('ts')
  const port = freePort()
  const url = `http://127.0.0.1:${port}/`
  const { stdout } = await shell.run(`ch202 webhooks create ${url} -o json --types user.created`)
  const { id, secret } = JSON.parse(stdout)
  const receiver = launch([process.execPath, '-'], {
    stdin: code.replace('port: 4000', `port: ${port}`),
    env: { CH202_WEBHOOK_SECRET: secret },
  })
  try {
    await eventually(() => call(url, 'GET /').catch(() => undefined))
    await registerUser(system)
    await receiver.printed(/user\.created/)
    const { items } = JSON.parse((await shell.run('ch202 webhooks deliveries -o json')).stdout)
    await eventually(async () => {
      const again = await shell.run(`ch202 webhooks replay ${items[0].id} -o json`)
      return JSON.parse(again.stdout).replayed === 1
    })
    await eventually(async () => {
      const now = JSON.parse((await shell.run('ch202 webhooks deliveries -o json')).stdout)
      return now.items[0].status === 'delivered'
    })
    expect(receiver.stdout()).toBe('user.created\n')
    expect((await call(url, 'POST /', { body: { type: 'user.deleted' } })).status).toBe(401)
  } finally {
    receiver.signal('SIGKILL')
    await receiver.ended
    await shell.run(`ch202 webhooks delete ${id} --yes`)
  }
})

test('every command of the page works as printed', async () => {
  const { shell } = instance
  const receiver = new Receiver()
  receiver.answers = () => new Response(null, { status: 410 })
  try {
    const lines = blocks('sh')
      .flatMap((text) => text.trim().split('\n'))
      .filter((line) => line.startsWith('ch202 '))
    expect(lines.length).toBe(4)
    let id = ID
    for (const line of lines) {
      const typed = line.replaceAll(ADDRESS, receiver.url).replaceAll(ID, id)
      const ended = await shell.run(typed)
      expect([line, ended.status]).toEqual([line, 0])
      if (!line.includes('create')) continue
      id = /^id +(\S+)$/m.exec(ended.stdout)?.[1] ?? ''
      const names = (text: string) => text.split('\n').map((row) => row.split(' ')[0])
      const [output = ''] = blocks('text')
      expect(names(ended.stdout)).toEqual(names(output))
    }
    for (const [, command = ''] of page.matchAll(/`ch202 (webhooks \w+)[^`]*`/g))
      expect((await shell.run(`ch202 ${command} --help`)).stdout).toStartWith(`Usage: ch202 ${command}`)
  } finally {
    await receiver.close()
  }
})

test('the page lists every reason of a failed delivery, and only events that exist', () => {
  const [, table = ''] = page.split(/^\| `last_error` .*$/m)
  const [rows = ''] = table.split('\n\n')
  const listed = [...rows.matchAll(/^\| `([a-z_]+)` +\|/gm)].map(([, name = '']) => name)
  const sources = ['services/auth/webhooks/http.ts', 'services/auth/webhooks/amqp.ts', 'db/auth/webhooks/webhooks.ts']
    .map((file) => readFileSync(join(ROOT, file), 'utf8'))
    .join('\n')
  const codes = ['refused', 'redirect', 'timeout', 'tls', 'unreachable', 'gone', 'secret_not_opened', 'broker_away']
  expect(listed.toSorted()).toEqual([...codes, 'webhook_disabled'].toSorted())
  for (const reason of listed) expect([reason, sources.includes(`'${reason}'`)]).toEqual([reason, true])
  for (const [type = ''] of page.matchAll(/\b(user|session|module|password)\.(?!example)[a-z]+\b/g))
    expect([type, EVENT_TYPES.some((each) => each === type)]).toEqual([type, true])
})
