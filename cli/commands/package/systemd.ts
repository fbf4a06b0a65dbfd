import { isAbsolute } from 'node:path'
import { usage } from '../../exit.ts'
import type { Line } from '../../runner/runner.ts'
import { ownArguments } from './procfile.ts'

export interface Installation {
  /** The account that the services run as, and that owns the data. */
  user: string
  dataDir: string
  /** Where the executable is. */
  exec: string
}

export interface Unit {
  name: string
  content: string
}

const TARGET = 'ch202.target'
const SETTINGS = '/etc/ch202/ch202.env'
const STATE = '/var/lib/'

/**
 * One unit for each line of the Procfile, and the target that wants them.
 * @throws Failure where a name or a path is one that a unit can't hold
 */
export function systemdUnits(lines: readonly Line[], installation: Installation): Unit[] {
  const { dataDir, exec, user } = installation
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(user) || user === 'root')
    throw usage('--user must be an account of its own, such as ch202')
  for (const [flag, path] of [
    ['--data-dir', dataDir],
    ['--exec', exec],
  ] as const)
    if (!isAbsolute(path) || !/^[\w./@+-]+$/.test(path) || /(^|\/)\.\.?(\/|$)/.test(path))
      throw usage(`${flag} must be an absolute path of letters, digits and . _ @ + -`)
  const units = lines.map((line) => ({ name: unitName(line), content: serviceUnit(line, installation) }))
  return [...units, { name: TARGET, content: targetUnit(lines) }]
}

function unitName({ name }: Line): string {
  return `ch202-${name}.service`
}

function targetUnit(lines: readonly Line[]): string {
  return `[Unit]
Description=Ch202: users, logins and feature modules
Wants=${lines.map(unitName).join(' ')}

[Install]
WantedBy=multi-user.target
`
}

function serviceUnit(line: Line, { dataDir, exec, user }: Installation): string {
  return `[Unit]
Description=Ch202 ${line.name}
PartOf=${TARGET}
Wants=network-online.target
After=network-online.target
# One that can't stay up is left alone after five minutes of trying.
StartLimitIntervalSec=300
StartLimitBurst=60

[Service]
Type=exec
ExecStart=${execStart(line.command, exec)}
User=${user}
Group=${user}
Restart=on-failure
RestartSec=5
# A service finishes the requests under way within 10 s.
TimeoutStopSec=20
KillMode=mixed

# The secrets and whatever else is set: owned by root, mode 0600. It wins over what stands here.
EnvironmentFile=${SETTINGS}
Environment=CH202_ENV=production
Environment=CH202_DATA_DIR=${dataDir}
WorkingDirectory=${dataDir}
${storage(dataDir)}
UMask=0077
LimitNOFILE=65536
# What is in memory may be a password.
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
DevicePolicy=closed
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute= stays off: the JavaScript engine compiles to machine code while it runs.

[Install]
WantedBy=${TARGET}
`
}

/** What systemd makes and owns is under /var/lib; a directory elsewhere has to be there. */
function storage(dataDir: string): string {
  const name = dataDir.startsWith(STATE) ? dataDir.slice(STATE.length).replace(/\/+$/, '') : ''
  return name === '' ? `ReadWritePaths=${dataDir}` : `StateDirectory=${name}\nStateDirectoryMode=0700`
}

/** What is no command of the tool goes through a shell, as it would from the Procfile. */
function execStart(command: string, exec: string): string {
  const words = ownArguments(command)
  if (words !== undefined && /^[\w ./:=@-]*$/.test(words)) return `${exec} ${words}`
  const line = `exec ${words === undefined ? command : `${exec} ${words}`}`
  const escaped = line.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')
  return `/bin/sh -c "${escaped}"`
}
