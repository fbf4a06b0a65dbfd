import { FAILURE_UNIT, HARDENING, SETTINGS, storage, type Unit } from './systemd-unit.ts'

interface BackedUp {
  user: string
  dataDir: string
  exec: string
}

/**
 * Units that back up every night, and that prove every week that a backup can be restored: one from the bucket, if there is
 * one.
 */
export function backupUnits(installation: BackedUp): Unit[] {
  const { exec } = installation
  const withBucket = (command: string, otherwise: string) =>
    // The shell reads the setting, so that no secret is in the list of processes.
    `ExecStart=/bin/sh -c 'if test -n "$$BACKUP_S3_URL"; then exec ${exec} ${command}; fi; ${otherwise}'`
  return [
    {
      name: 'ch202-backup.service',
      content: oneshot('back up the databases', installation, [
        `ExecStart=${exec} backup create --keep 7d --keep-weekly 4 --quiet`,
        `ExecStart=${exec} backup verify --quiet`,
        withBucket('backup push --keep 30d --keep-weekly 12 --quiet', 'exit 0'),
      ]),
    },
    { name: 'ch202-backup.timer', content: timer('Back up Ch202 every night', '*-*-* 03:15:00', '15m') },
    {
      name: 'ch202-backup-drill.service',
      content: oneshot('restore a backup into a temporary directory, and check it', installation, [
        withBucket('backup verify --remote', `exec ${exec} backup verify`),
      ]),
    },
    { name: 'ch202-backup-drill.timer', content: timer('Restore a backup of Ch202 every week', 'Sun 04:30:00', '30m') },
  ]
}

function oneshot(what: string, { dataDir, user }: BackedUp, commands: readonly string[]): string {
  return `[Unit]
Description=Ch202: ${what}
Wants=network-online.target
After=network-online.target
OnFailure=${FAILURE_UNIT}

[Service]
Type=oneshot
${commands.join('\n')}
User=${user}
Group=${user}
# The services answer first.
Nice=10
IOSchedulingClass=idle
TimeoutStartSec=4h

EnvironmentFile=${SETTINGS}
Environment=CH202_ENV=production
Environment=CH202_DATA_DIR=${dataDir}
WorkingDirectory=${dataDir}
${storage(dataDir)}
${HARDENING}`
}

/** @param delay at most this long later, so that many machines do not copy to one bucket at the same moment */
function timer(description: string, when: string, delay: string): string {
  return `[Unit]
Description=${description}
PartOf=ch202.target

[Timer]
OnCalendar=${when}
RandomizedDelaySec=${delay}
# Makes up for a night in which the machine was off.
Persistent=true

[Install]
WantedBy=timers.target
`
}
