import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Glob } from 'bun'
import manifest from '../../package.json'
import { temporary } from '../support/tool.ts'

const ROOT = join(import.meta.dir, '../..')
const MODULES = join(ROOT, 'node_modules')
const lock = readFileSync(join(ROOT, 'bun.lock'), 'utf8')
const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8')
const folder = temporary('dependencies')

/** Each lets anyone use, change and pass on what it stands on, also in a program that is not free. */
const PERMISSIVE = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'MIT-0',
  'Python-2.0',
  'Unlicense',
]
/** Looked at: they choose a binary or a version of Vue, and what is used of them here works without. */
const WITH_A_SCRIPT = ['esbuild', 'vue-demi']
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall']

interface Installed {
  name: string
  version: string
  license?: unknown
  scripts?: Record<string, string>
}

/** Every package that is installed, and those that it brought along. */
const installed = [...new Glob('**/package.json').scanSync({ cwd: MODULES })]
  .filter((path) => /(^|\/node_modules\/)(@[^/]+\/)?[^/@]+\/package\.json$/.test(path))
  .map((path) => JSON.parse(readFileSync(join(MODULES, path), 'utf8')) as Installed)
  .filter(({ name, version }) => name && version)

afterAll(folder.remove)

/** An environment in which a registry of our own is asked, whatever the one who runs the tests has set. */
function askingAt({ url }: Bun.Server<undefined>) {
  const registries = ['BUN_CONFIG_REGISTRY', 'NPM_CONFIG_REGISTRY', 'npm_config_registry'].map((name) => [
    name,
    url.href,
  ])
  return { ...process.env, ...Object.fromEntries(registries), HOME: folder.path, XDG_CONFIG_HOME: folder.path }
}

describe('what is installed', () => {
  test('is of exact versions, and of those that the lock file has', () => {
    const wanted = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    const differing = wanted.filter(([name, version]) => {
      const [, other = name, number] = /^(?:npm:(.+)@)?(\d+\.\d+\.\d+)$/.exec(version) ?? []
      return number === undefined || !lock.includes(`\n    "${name}": ["${other}@${number}",`)
    })
    expect(differing).toEqual([])
    // Each entry names its version, and an empty place for a registry that is not the usual one.
    const entries = lock.slice(lock.indexOf('\n  "packages": {')).match(/^ {4}".+$/gm) ?? []
    expect(entries.length).toBeGreaterThan(300)
    expect(entries.filter((entry) => !/^ {4}"[^"]+": \["@?[^"@]+@\d[\w.+-]*", "", \{/.test(entry))).toEqual([])
  })

  test('never differs from the lock file: whatever installs takes it as it is', () => {
    const commands = [...Object.values(manifest.scripts), ...ci.split('\n')].flatMap((line) => line.split('&&'))
    const installs = commands.filter((command) => /\bbun (install|i|add|update)\b/.test(command))
    expect(installs.length).toBeGreaterThan(3)
    expect(installs.filter((command) => !command.includes('--frozen-lockfile'))).toEqual([])
  })

  test('is under licences that allow everything but to leave out the notice', () => {
    const other = installed.filter(({ license }) => {
      const choices = String(license).replaceAll(/[()]/g, '').split(' OR ')
      return !choices.some((choice) => PERMISSIVE.includes(choice))
    })
    expect(installed.length).toBeGreaterThan(300)
    expect(other.map(({ name, license }) => `${name}: ${license}`)).toEqual([])
  })
})

describe('install scripts', () => {
  test('are those of packages that were looked at', () => {
    const flagged = [...lock.matchAll(/\["(@?[^@"]+)@.*"hasInstallScript": true/g)].map(([, name = '']) => name)
    const having = installed.filter(({ scripts }) => INSTALL_SCRIPTS.some((name) => scripts?.[name]))
    expect([...new Set(flagged)].sort()).toEqual(WITH_A_SCRIPT)
    expect([...new Set(having.map(({ name }) => name))].sort()).toEqual(WITH_A_SCRIPT)
  })

  test('are of no package that is trusted, not of one that Bun trusts by itself either', async () => {
    const { stdout } = Bun.spawn([process.execPath, 'pm', 'untrusted'], { cwd: ROOT, stdout: 'pipe', stderr: 'ignore' })
    const blocked = [...(await new Response(stdout).text()).matchAll(/^\.\/\S*node_modules\/(\S+) @/gm)]
    expect([...new Set(blocked.map(([, name = '']) => name))].sort()).toEqual(WITH_A_SCRIPT)
  })

  const NAME = 'a-package-of-the-test'
  let registry: Bun.Server<undefined>
  beforeAll(async () => {
    const source = folder.fresh()
    mkdirSync(join(source, 'package'), { recursive: true })
    const scripts = { postinstall: 'echo > ran' }
    writeFileSync(join(source, 'package/package.json'), JSON.stringify({ name: NAME, version: '0.0.1', scripts }))
    expect(await Bun.spawn(['tar', 'czf', 'package.tgz', 'package'], { cwd: source }).exited).toBe(0)
    const tarball = readFileSync(join(source, 'package.tgz'))
    registry = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request) {
        if (request.url.endsWith('.tgz')) return new Response(tarball)
        const dist = { tarball: `${registry.url}package.tgz` }
        const version = { name: NAME, version: '0.0.1', hasInstallScript: true, scripts, dist }
        return Response.json({ name: NAME, 'dist-tags': { latest: '0.0.1' }, versions: { '0.0.1': version } })
      },
    })
  })
  afterAll(() => registry.stop(true))

  test.each([
    ['run where the package is trusted', false, true],
    ['do not run even then, with bunfig.toml', true, false],
  ])('%s', async (_, settings, ran) => {
    const cwd = folder.fresh()
    mkdirSync(cwd)
    const own = { dependencies: { [NAME]: '0.0.1' }, trustedDependencies: [NAME] }
    writeFileSync(join(cwd, 'package.json'), JSON.stringify(own))
    if (settings) copyFileSync(join(ROOT, 'bunfig.toml'), join(cwd, 'bunfig.toml'))
    const env = {
      ...askingAt(registry),
      // What is installed here must not be found by anything else.
      BUN_INSTALL_CACHE_DIR: join(cwd, 'cache'),
    }
    const install = Bun.spawn([process.execPath, 'install'], { cwd, env, stdout: 'ignore', stderr: 'pipe' })
    const [status, stderr] = [await install.exited, await new Response(install.stderr).text()]
    expect([status, status === 0 ? '' : stderr]).toEqual([0, ''])
    const path = join(cwd, 'node_modules', NAME)
    expect([existsSync(join(path, 'package.json')), existsSync(join(path, 'ran'))]).toEqual([true, ran])
  })
})

describe('the look for known vulnerabilities', () => {
  const ADVISORY = { id: 1, url: 'https://example.org/1', title: 'of the test', vulnerable_versions: '<999' }
  const step = /^audit\(\) \{\n[\s\S]*?^\}\n/m.exec(ci)?.[0] ?? ''
  const calls = ci.match(/^audit '.+$/gm) ?? []

  /** What the step says, and what it counts, where the registry answers so. */
  async function run(answer: (packages: Record<string, unknown>) => Response) {
    const registry = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => answer(JSON.parse(gunzipSync(await request.bytes()).toString())),
    })
    const script = ['WORK=$(mktemp -d) passed=0 failed=0', step, ...calls, 'rm -r "$WORK"', 'echo "$passed/$failed"']
    const env = {
      ...askingAt(registry),
      PATH: `${join(process.execPath, '..')}:${process.env.PATH}`,
    }
    const audit = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script.join('\n')], { cwd: ROOT, env, stdout: 'pipe' })
    const said = await new Response(audit.stdout).text()
    await registry.stop(true)
    return { said, counted: said.trim().split('\n').at(-1) }
  }

  const found = (name: string, severity: string) => (packages: Record<string, unknown>) =>
    Response.json(name in packages ? { [name]: [{ ...ADVISORY, severity }] } : {})

  test.each([
    ['nothing is known', () => Response.json({}), '2/0', /None/],
    ['something moderate in what runs', found('elysia', 'moderate'), '1/1', /of the test/],
    ['something high in what tests it', found('jose', 'high'), '1/1', /of the test/],
    ['something moderate in what tests it', found('jose', 'moderate'), '2/0', /None/],
    ['the registry has no such answer', () => new Response('', { status: 405 }), '0/0', /Not checked.*\n.*405/],
    ['the registry answers with a page', () => new Response('<html>'), '0/0', /Not checked/],
  ])('%s', async (_, answer, counts, says) => {
    const { counted, said } = await run(answer)
    expect(counted).toBe(counts)
    expect(said).toMatch(says)
  })
})
