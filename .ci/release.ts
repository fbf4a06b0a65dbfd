import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../package.json'

// `bun run release` checks, builds and tags a release. Only package.json has the version; its section of CHANGELOG.md
// becomes the message of the tag. The tag comes last, so a failed check or build leaves no tag.

const ROOT = join(import.meta.dir, '..')
const OUT = join(ROOT, 'dist/release')
const TAG = `v${version}`

/** The section of a version in the changelog, without its heading; undefined if there is none. */
export function changelogSection(changelog: string, name: string): string | undefined {
  const sections = changelog.split(/^## /m).slice(1)
  const section = sections.find((text) => text.startsWith(`[${name}] - `))
  return section?.slice(section.indexOf('\n')).trim()
}

/** The reasons why a release is not possible now, one text each. */
export function obstacles(state: { status: string; tags: string[]; changelog: string }): string[] {
  const { changelog, status, tags } = state
  return [
    ...(status === '' ? [] : [`Commit or remove these changes first:\n${status}`]),
    ...(tags.includes(TAG) ? [`${TAG} already exists: raise the version in package.json`] : []),
    ...(changelogSection(changelog, version)
      ? []
      : [`CHANGELOG.md has no section "## [${version}] - <date>": rename "Unreleased", and begin a new one above it`]),
  ]
}

/** Runs a command. Gives its output. @throws Error with the output if it fails */
async function run(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { cwd: ROOT, stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const output = await new Response(child.stdout).text()
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')} failed:\n${output.trim()}`)
  return output.trim()
}

/** Builds the executable and the package, with checksums. Gives the names of the files. */
async function build(): Promise<string[]> {
  rmSync(OUT, { recursive: true, force: true })
  mkdirSync(OUT, { recursive: true })
  await run([process.execPath, 'cli/main.ts', 'package', 'binary', '--out', join(OUT, 'ch202')])
  await run([process.execPath, '.ci/build.ts'])
  await run([process.execPath, 'pm', 'pack', '--ignore-scripts', '--destination', OUT])
  const files = readdirSync(OUT).sort()
  const sums = files.map((file) => {
    const sum = new Bun.CryptoHasher('sha256').update(readFileSync(join(OUT, file))).digest('hex')
    return `${sum}  ${file}\n`
  })
  writeFileSync(join(OUT, 'SHA256SUMS'), sums.join(''))
  return [...files, 'SHA256SUMS']
}

async function release(): Promise<void> {
  const changelog = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8')
  const status = await run(['git', 'status', '--porcelain'])
  const tags = (await run(['git', 'tag', '--list'])).split('\n')
  const problems = obstacles({ status, tags, changelog })
  if (problems.length > 0) throw new Error(problems.join('\n'))
  console.log('Checking: .ci/run')
  await run(['.ci/run'])
  console.log('Building')
  const files = await build()
  await run([
    'git',
    'tag',
    '--annotate',
    TAG,
    '--message',
    `Ch202 ${version}\n\n${changelogSection(changelog, version)}`,
  ])
  console.log(`Tagged ${TAG}. In dist/release: ${files.join(', ')}`)
  console.log(`Publish it: git push origin ${TAG}`)
}

if (import.meta.main)
  await release().catch((error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  })
