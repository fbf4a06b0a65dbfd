import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TOKEN_ALGS, type TokenAlg } from '../../services/kit/tokens/algorithms.ts'

/** A foreign library that verifies access tokens. */
export interface Library {
  name: string
  version: string
  /** The program, which takes the JWKS, the issuer, the audience and the algorithm, and a token on each line. */
  command: string[]
  /** The algorithms that it verifies by its defaults. */
  algorithms: readonly TokenAlg[]
}

const folder = mkdtempSync(join(tmpdir(), 'ch202-interop-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const textOf = (path: string) => readFileSync(join(import.meta.dir, path), 'utf8')
const versionIn = (path: string, pattern: RegExp) => pattern.exec(textOf(path))?.[1] ?? 'unknown'

async function run(command: string[], subfolder: string): Promise<void> {
  const child = Bun.spawn(command, { cwd: join(import.meta.dir, subfolder), stdout: 'ignore', stderr: 'inherit' })
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')} failed`)
}

/** Needs Go. Downloads the modules of `go.sum`. */
async function inGo(): Promise<Library[]> {
  const program = join(folder, 'verify-go')
  await run(['go', 'build', '-o', program, '.'], 'go')
  return ['golang-jwt/jwt/v5', 'coreos/go-oidc/v3'].map((name) => ({
    name,
    version: versionIn('go/go.mod', new RegExp(`${name} v(\\S+)`)),
    command: [program, name.startsWith('coreos') ? 'go-oidc' : 'golang-jwt'],
    algorithms: TOKEN_ALGS,
  }))
}

/** Needs Java 17 and Maven. */
async function inJava(): Promise<Library[]> {
  const paths = join(folder, 'classpath')
  await run(['mvn', '-q', '-B', 'compile', 'dependency:build-classpath', `-Dmdep.outputFile=${paths}`], 'java')
  const classpath = `${join(import.meta.dir, 'java/target/classes')}:${readFileSync(paths, 'utf8').trim()}`
  return [
    ['nimbus-jose-jwt', 'nimbus'],
    ['spring-security-oauth2-jose', 'spring'],
  ].map(([name = '', argument = '']) => ({
    name,
    version: versionIn('java/pom.xml', new RegExp(`<artifactId>${name}</artifactId>\\s*<version>([^<]+)`)),
    command: ['java', '-cp', classpath, 'interop.Main', argument],
    // Neither verifies Ed25519 with the key of a JWKS.
    algorithms: ['ES256', 'RS256'],
  }))
}

/** Needs Cargo. Downloads the crates of `Cargo.lock`. */
async function inRust(): Promise<Library[]> {
  await run(['cargo', 'build', '--quiet', '--locked', '--target-dir', folder], 'rust')
  const version = versionIn('rust/Cargo.toml', /jsonwebtoken = "=([^"]+)"/)
  return [{ name: 'jsonwebtoken (Rust)', version, command: [join(folder, 'debug/interop')], algorithms: TOKEN_ALGS }]
}

/** Builds the programs. @throws Error when a compiler is missing, or a package cannot be downloaded */
export async function libraries(): Promise<Library[]> {
  return [...(await inGo()), ...(await inJava()), ...(await inRust())]
}
