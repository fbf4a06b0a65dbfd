import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ownSettings, runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const folder = temporary('migrate')
afterAll(folder.remove)

test('migrate --plan lists the migrations and applies none; migrate applies them, then nothing is left to apply', async () => {
  const dataDir = folder.fresh()
  const env = ownSettings(dataDir)
  const migrate = async (...words: string[]) => {
    const { status, stdout, stderr } = await runTool(['migrate', ...words], { env })
    expect([words, status, stderr]).toEqual([words, 0, ''])
    return stdout
  }
  const plan = await migrate('--plan')
  expect(plan.trimEnd().split('\n')).toEqual(
    ['auth   ', 'users  ', 'modules'].map((name) => expect.stringMatching(new RegExp(`^${name}  to apply  \\d\\S+$`))),
  )
  expect(existsSync(dataDir)).toBe(false)
  expect(await migrate()).toBe(plan.replaceAll('to apply', 'applied'))
  const upToDate = 'auth     up to date\nusers    up to date\nmodules  up to date\n'
  expect([await migrate('--plan'), await migrate()]).toEqual([upToDate, upToDate])
  const { items } = JSON.parse(await migrate('-o', 'json'))
  expect(items[0]).toEqual({ database: 'auth', state: 'up to date', migrations: [], changed: false })

  const file = join(dataDir, 'auth.sqlite')
  writeFileSync(file, readFileSync(file).subarray(0, 5000))
  for (const words of [['migrate', '--plan'], ['migrate']]) {
    const { status, stderr } = await runTool(words, { env })
    expect([status, stderr]).toEqual([1, expect.stringContaining(file)])
  }
})
