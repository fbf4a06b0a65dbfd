import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { asUser, isRoot, NOBODY } from '../support/postgres/programs.ts'
import { launch, type Running, temporary } from '../support/tool.ts'
import { APACHE, APACHE_MODULES } from './packages.ts'

/** The modules of Debian's `apache2-bin` that a server with pages needs. */
const MODULES = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'dir', 'mime', 'include', 'auth_openidc']

/** The pages of the site: one for who is signed in, which shows what Apache passes on, and one for everybody. */
const PAGES = {
  'index.html': '<title>Wiki</title><p>Signed in as <!--#echo var="OIDC_CLAIM_email" --></p>',
  'bye/index.html': '<title>Wiki</title><p>Signed out</p>',
}

/** Ends a program, which may have ended by itself. */
export async function endOf(program: Running): Promise<void> {
  try {
    program.signal('SIGTERM')
  } catch {
    // It has ended.
  }
  await program.ended
}

/** An Apache of the tests. */
export interface Apache {
  process: Running
  /** The lines of its log that report errors. */
  errors(): string[]
  stop(): Promise<void>
}

/**
 * Starts an Apache of its own, which is neither root nor the service of the system, on a port of this machine.
 * @param site the configuration of the site @param env the values that it names
 */
export function startApache(port: number, site: string, env: Record<string, string>): Apache {
  const folder = temporary('apache')
  const at = (path: string) => join(folder.path, path)
  const log = at('error.log')
  mkdirSync(at('pages/bye'), { recursive: true })
  for (const [path, html] of Object.entries(PAGES)) writeFileSync(at(join('pages', path)), html)
  writeFileSync(at('site.conf'), site)
  writeFileSync(at('apache.conf'), serverConfiguration(folder.path, port, log))
  // A service in the process of the tests makes files private to their owner.
  if (isRoot) Bun.spawnSync(['chown', '-R', `${NOBODY}:${NOBODY}`, folder.path])
  const process = launch([...asUser, APACHE, '-f', at('apache.conf'), '-D', 'FOREGROUND'], { env, cwd: '/' })
  return {
    process,
    errors: () => (readFileSync(log, 'utf8').match(/^.*:(?:error|crit|alert|emerg)\].*$/gm) ?? []).map(String),
    async stop() {
      await endOf(process)
      folder.remove()
    },
  }
}

function serverConfiguration(folder: string, port: number, log: string): string {
  return [
    `ServerRoot ${folder}`,
    `DefaultRuntimeDir ${folder}`,
    `PidFile ${folder}/pid`,
    'ServerName localhost',
    `Listen 127.0.0.1:${port}`,
    `ErrorLog ${log}`,
    ...MODULES.map((name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`),
    'TypesConfig /dev/null',
    'AddType text/html .html',
    'AddOutputFilter INCLUDES .html',
    `DocumentRoot ${folder}/pages`,
    `<Directory ${folder}/pages>`,
    '  Options +Includes',
    '</Directory>',
    'StartServers 1',
    `Include ${folder}/site.conf`,
    '',
  ].join('\n')
}
