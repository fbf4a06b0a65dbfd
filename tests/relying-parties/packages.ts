import { existsSync } from 'node:fs'

/** Debian's packages belong to Debian's Python, whichever Python is first in the PATH. */
export const PYTHON = process.env.PYTHON ?? '/usr/bin/python3'
/** Debian's package `apache2-bin`. Its folder is not in every user's PATH. */
export const APACHE = '/usr/sbin/apache2'
export const APACHE_MODULES = '/usr/lib/apache2/modules'

/** The checks whether a Debian package is installed that a recipe runs on. */
const CHECKS: Record<string, () => boolean> = {
  'python3-authlib': () => imports('authlib'),
  'python3-flask': () => imports('flask'),
  'python3-requests': () => imports('requests'),
  'apache2-bin': () => existsSync(APACHE),
  'libapache2-mod-auth-openidc': () => existsSync(`${APACHE_MODULES}/mod_auth_openidc.so`),
}

function imports(name: string): boolean {
  return Bun.spawnSync([PYTHON, '-c', `import ${name}`], { stdout: 'ignore', stderr: 'ignore' }).success
}

/** @throws Error that names the packages to install, if a program is missing */
export function requirePackages(names: readonly string[], isInstalled = (name: string) => CHECKS[name]?.() === true) {
  const missing = names.filter((name) => !isInstalled(name))
  if (missing.length > 0) throw new Error(`Not installed: apt-get install ${missing.join(' ')}`)
}
