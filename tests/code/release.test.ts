import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../../package.json'
import { launch, ROOT, temporary } from '../support/tool.ts'

setDefaultTimeout(300_000)

/** `bun run release` in a clone whose `.ci/run` is replaced: the real one runs these tests. */
describe('bun run release', () => {
  const folder = temporary('release')
  afterAll(folder.remove)
  const clone = folder.fresh()
  const git = async (...words: string[]) => {
    const identity = ['-c', 'user.name=Release', '-c', 'user.email=release@example.org']
    const { status, stderr, stdout } = await launch(['git', ...identity, ...words], { cwd: clone }).ended
    if (status !== 0) throw new Error(stderr)
    return stdout.trim()
  }
  const env = { GIT_COMMITTER_NAME: 'Release', GIT_COMMITTER_EMAIL: 'release@example.org' }
  const release = () => launch([process.execPath, '.ci/release.ts'], { cwd: clone, env }).ended
  const write = (path: string, text: string) => writeFileSync(join(clone, path), text)
  const read = (path: string) => readFileSync(join(clone, path), 'utf8')
  const checks = (body: string) => {
    write('.ci/run', `#!/bin/sh\n${body}\n`)
    chmodSync(join(clone, '.ci/run'), 0o755)
  }

  beforeAll(async () => {
    await launch(['git', 'clone', '--quiet', ROOT, clone]).ended
    await launch(['cp', '-r', join(ROOT, '.ci'), join(ROOT, 'CHANGELOG.md'), join(ROOT, 'package.json'), clone]).ended
    await launch(['ln', '-s', join(ROOT, 'node_modules'), join(clone, 'node_modules')]).ended
    for (const tag of (await git('tag', '--list')).split('\n').filter(Boolean)) await git('tag', '--delete', tag)
    checks('exit 1')
    write('.git/info/exclude', 'node_modules\n')
    await git('commit', '--quiet', '--all', '--message', 'chore: a clone for the test')
  })

  test('refuses a tree with changes that are not committed', async () => {
    const changelog = read('CHANGELOG.md')
    write('CHANGELOG.md', `${changelog}\n`)
    const { status, stderr } = await release()
    expect({ status, names: stderr.includes('CHANGELOG.md') }).toEqual({ status: 1, names: true })
    write('CHANGELOG.md', changelog)
  })

  test('refuses a version that the changelog does not describe', async () => {
    const changelog = read('CHANGELOG.md')
    write('CHANGELOG.md', changelog.replace(`## [${version}] - `, '## [0.0.9] - '))
    await git('commit', '--quiet', '--all', '--message', 'docs: no section')
    const { status, stderr } = await release()
    expect(status).toBe(1)
    expect(stderr).toContain(`no section "## [${version}] - <date>"`)
    await git('reset', '--quiet', '--hard', 'HEAD~1')
  })

  test('leaves no tag when the checks fail', async () => {
    const { status, stderr } = await release()
    expect(status).toBe(1)
    expect(stderr).toContain('.ci/run failed')
    expect(await git('tag', '--list')).toBe('')
  })

  test('builds the executable and the guard, writes their checksums, and tags the commit with the changelog', async () => {
    checks('exit 0')
    await git('commit', '--quiet', '--all', '--message', 'test: checks that pass')
    const { status, stderr } = await release()
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    const out = join(clone, 'dist/release')
    for (const file of ['ch202', `ch202-${version}.tgz`, 'SHA256SUMS']) expect(existsSync(join(out, file))).toBe(true)
    const sums = await launch(['sha256sum', '--check', '--quiet', 'SHA256SUMS'], { cwd: out }).ended
    expect(sums.status).toBe(0)
    const built = await launch([join(out, 'ch202'), 'version']).ended
    expect(built.stdout).toContain(version)
    expect(await git('tag', '--list', '--format', '%(refname:short) %(subject)')).toBe(`v${version} Ch202 ${version}`)
    const again = await release()
    expect(again.status).toBe(1)
    expect(again.stderr).toContain(`v${version} already exists`)
  })
})
