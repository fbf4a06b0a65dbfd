import { isAbsolute } from 'node:path'
import { usage } from '../../exit.ts'
import { toolArguments } from '../../runner/procfile.ts'
import type { Line } from '../../runner/runner.ts'
import { backupUnits } from './systemd-backup.ts'
import { FAILURE_UNIT, failureUnit, HARDENING, SETTINGS, storage, type Unit } from './systemd-unit.ts'

export interface Installation {
  /** The user that the services run as, and that owns the data. */
  user: string
  dataDir: string
  /** Path of the executable. */
  exec: string
  /** The PostgreSQL database that has the data; undefined: files in the data directory. */
  databaseUrl?: string | undefined
  /** The name of the nodes of this machine on the database; undefined: that of its host. */
  nodeName?: string | undefined
  /** Whether backups are made by timers. */
  backups: boolean
  /** The setting for where a line of the Procfile listens, if not at the address of its service. */
  listens(command: string): string | undefined
}

const NODE_NAME = /^[\w.:-]{1,40}$/
/** The name of the host without its domain, as systemd fills it in (systemd.unit(5), specifiers). */
const HOST_NAME = '%l'
/** Paths that `ProtectHome=yes` hides from a service: it would not start (systemd.exec(5)). */
const HIDDEN = /^\/+(home|root|run\/+user)(\/|$)/
const TARGET = 'ch202.target'
const LOCAL = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * Writes a unit for each line of the Procfile, and a target for all of them.
 * @throws Failure if a name or path is not valid in a unit
 */
export function systemdUnits(lines: readonly Line[], installation: Installation): Unit[] {
  const { dataDir, exec, nodeName, user } = installation
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(user) || user === 'root')
    throw usage('--user must be a dedicated user, such as ch202')
  for (const [flag, path] of [
    ['--data-dir', dataDir],
    ['--exec', exec],
  ] as const) {
    if (!isAbsolute(path) || !/^[\w./@+-]+$/.test(path) || /(^|\/)\.\.?(\/|$)/.test(path))
      throw usage(`${flag} must be an absolute path of letters, digits and . _ @ + -`)
    if (HIDDEN.test(path))
      throw usage(`${flag} must be outside /home, /root and /run/user, which the units hide (ProtectHome=)`)
  }
  if (nodeName !== undefined && !NODE_NAME.test(nodeName))
    throw usage('--node-name must be 1 to 40 letters, digits, dots, colons, dashes and underscores')
  const units = lines.map((line) => ({ name: unitName(line), content: serviceUnit(line, installation) }))
  // The tools of PostgreSQL back up a database.
  const backups = installation.backups && installation.databaseUrl === undefined ? backupUnits(installation) : []
  const target = [...units, ...backups.filter(({ name }) => name.endsWith('.timer'))]
  return [...units, ...backups, failureUnit(user), { name: TARGET, content: targetUnit(target) }]
}

function unitName({ name }: Line): string {
  return `ch202-${name}.service`
}

function targetUnit(units: readonly Unit[]): string {
  return `[Unit]
Description=Ch202: users, logins and feature modules
Wants=${units.map(({ name }) => name).join(' ')}

[Install]
WantedBy=multi-user.target
`
}

function serviceUnit(line: Line, installation: Installation): string {
  const { databaseUrl, dataDir, exec, user } = installation
  return `[Unit]
Description=Ch202 ${line.name}
PartOf=${TARGET}
Wants=network-online.target
OnFailure=${FAILURE_UNIT}
After=network-online.target${isOnThisMachine(databaseUrl) ? ' postgresql.service' : ''}
# A service that keeps crashing is not restarted any more after about five minutes: 50 starts, 5 s and a run apart. The
# interval is longer than that, or the limit would never be reached.
StartLimitIntervalSec=900
StartLimitBurst=50

[Service]
Type=exec
ExecStart=${execStart(line.command, exec)}
User=${user}
Group=${user}
Restart=on-failure
RestartSec=5
# A service finishes its open requests within 10 s.
TimeoutStopSec=20
KillMode=mixed

# Secrets and other settings${databaseUrl === undefined ? '' : ', DATABASE_URL among them'}; owned by root, mode 0600. They override the settings below.
EnvironmentFile=${SETTINGS}
Environment=CH202_ENV=production
Environment=CH202_DATA_DIR=${dataDir}
${nodeSettings(line, installation)}WorkingDirectory=${dataDir}
${storage(dataDir)}
${HARDENING}
[Install]
WantedBy=${TARGET}
`
}

/** The settings by which this node differs from those on other machines. */
function nodeSettings(line: Line, { databaseUrl, listens, nodeName = HOST_NAME }: Installation): string {
  const settings = [databaseUrl === undefined ? undefined : `NODE_NAME=${nodeName}`, listens(line.command)]
  return settings.map((setting) => (setting === undefined ? '' : `Environment=${setting}\n`)).join('')
}

function isOnThisMachine(databaseUrl: string | undefined): boolean {
  return databaseUrl !== undefined && LOCAL.test(URL.parse(databaseUrl)?.hostname ?? '')
}

/** Runs commands of other programs through a shell, as `ch202 start` does. */
function execStart(command: string, exec: string): string {
  const words = toolArguments(command)
  if (words !== undefined && /^[\w ./:=@-]*$/.test(words)) return `${exec} ${words}`
  const line = `exec ${words === undefined ? command : `${exec} ${words}`}`
  const escaped = line.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')
  return `/bin/sh -c "${escaped}"`
}
