import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { secretsFile, withSecrets, withSecretsFile } from './secrets.ts'

const NAMES = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const

let parent: string
let dataDir: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'ch202-secrets-'))
  dataDir = join(parent, 'data')
})
afterEach(() => rmSync(parent, { recursive: true }))

describe('at the first start', () => {
  test('three different secrets are generated, and the next start reads them', () => {
    const generated = withSecrets({}, dataDir)
    const values = NAMES.map((name) => generated[name] ?? '')
    for (const value of values) expect(value).toMatch(/^[\w-]{43}$/)
    expect(new Set(values).size).toBe(3)
    expect(withSecrets({}, dataDir)).toEqual(generated)
    expect(withSecretsFile({}, dataDir)).toEqual(generated)
  })

  test.each([0o000, 0o022, 0o077])('only the owner can read the file, with a umask of %o', (umask) => {
    const before = process.umask(umask)
    try {
      withSecrets({}, dataDir)
    } finally {
      process.umask(before)
    }
    expect(statSync(secretsFile(dataDir)).mode & 0o777).toBe(0o600)
    expect(statSync(dataDir).mode & 0o077).toBe(0)
    expect(readdirSync(dataDir)).toEqual(['secrets.env'])
  })

  test('many concurrent processes create one file, and all of them read it', async () => {
    const script = `
      import { withSecrets } from ${JSON.stringify(join(import.meta.dir, 'secrets.ts'))}
      const env = withSecrets({}, ${JSON.stringify(dataDir)})
      console.log(JSON.stringify(${JSON.stringify(NAMES)}.map((name) => env[name])))`
    const processes = Array.from({ length: 12 }, () =>
      Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe', stderr: 'inherit' }),
    )
    const seen = await Promise.all(processes.map(({ stdout }) => new Response(stdout).text()))
    expect(new Set(seen).size).toBe(1)
    expect(JSON.parse(seen[0] ?? '')).toEqual(NAMES.map((name) => withSecrets({}, dataDir)[name]))
    expect(readdirSync(dataDir)).toEqual(['secrets.env'])
  })

  test.each([
    ['in production', { CH202_ENV: 'production' }],
    ['where the environment has all three', { INTERNAL_API_KEY: 'a', OPERATOR_API_KEY: 'b', CH202_SECRET: 'c' }],
  ])('none are generated %s', (_, env) => {
    expect(withSecrets(env, dataDir)).toEqual(env)
    expect(existsSync(secretsFile(dataDir))).toBe(false)
  })
})

describe('existing secrets', () => {
  test('the environment takes precedence, except for empty values', () => {
    const generated = withSecrets({}, dataDir)
    const env = withSecrets({ INTERNAL_API_KEY: 'mine', OPERATOR_API_KEY: ' ', CH202_SECRET: '' }, dataDir)
    expect(env).toEqual({ ...generated, INTERNAL_API_KEY: 'mine' })
  })

  test('a secret of the environment is not written to the file', () => {
    withSecrets({ INTERNAL_API_KEY: 'mine-alone' }, dataDir)
    expect(readFileSync(secretsFile(dataDir), 'utf8')).not.toContain('mine-alone')
  })

  test('production reads a file that an operator created', () => {
    withSecrets({}, dataDir)
    expect(withSecrets({ CH202_ENV: 'production' }, dataDir).CH202_SECRET).toMatch(/^[\w-]{43}$/)
  })

  test('an existing file is never overwritten', () => {
    withSecrets({}, dataDir)
    writeFileSync(secretsFile(dataDir), 'INTERNAL_API_KEY=kept\n')
    expect(withSecrets({}, dataDir)).toEqual({ INTERNAL_API_KEY: 'kept' })
    expect(readFileSync(secretsFile(dataDir), 'utf8')).toBe('INTERNAL_API_KEY=kept\n')
  })

  test('reading creates nothing', () => {
    expect(withSecretsFile({ A: '1' }, dataDir)).toEqual({ A: '1' })
    expect(existsSync(dataDir)).toBe(false)
  })
})
