/** A file for systemd. */
export interface Unit {
  name: string
  content: string
}

export const SETTINGS = '/etc/ch202/ch202.env'
const STATE = '/var/lib/'
/** A directory that lasts until the machine stops: with a database, all that a service leaves is where it listens. */
const RUNTIME = '/run/'
/** Started by systemd when a unit has failed, with its name. */
export const FAILURE_UNIT = 'ch202-failure@%n.service'

/** The restrictions of every unit (systemd.exec(5)). */
export const HARDENING = `UMask=0077
LimitNOFILE=65536
# No core dumps: memory may contain passwords.
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
# Threads that hash passwords lower their own priority. Without capabilities, no process raises one.
SystemCallFilter=setpriority
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute= stays off, because the JavaScript engine compiles to machine code at run time.
`

/** systemd creates a data directory under /var/lib or /run; a directory elsewhere must already exist. */
export function storage(dataDir: string): string {
  if (dataDir.startsWith(RUNTIME)) {
    // The services share it: it stays when one of them stops.
    const runtime = dataDir.slice(RUNTIME.length).replace(/\/+$/, '')
    if (runtime !== '') return `RuntimeDirectory=${runtime}\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve=yes`
  }
  const name = dataDir.startsWith(STATE) ? dataDir.slice(STATE.length).replace(/\/+$/, '') : ''
  return name === '' ? `ReadWritePaths=${dataDir}` : `StateDirectory=${name}\nStateDirectoryMode=0700`
}

/**
 * Reports a failed unit by a script of the operator: how depends on the place (mail, a chat, a pager), so the script is
 * theirs. Without one, the failure is in the journal and in `systemctl --failed` alone.
 * @param user the account that runs it
 */
export function failureUnit(user: string): Unit {
  const script = '/etc/ch202/on-failure'
  const content = `[Unit]
Description=Report that %i failed
ConditionPathExists=${script}

[Service]
Type=oneshot
ExecStart=/bin/sh ${script} %i
User=${user}
Group=${user}
# To read the last lines of the unit.
SupplementaryGroups=systemd-journal
TimeoutStartSec=60
# Not as restricted as the others: a script may use sendmail, which needs its own group.
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=full
`
  return { name: 'ch202-failure@.service', content }
}
