import type { Clock } from '../../kit/clock.ts'
import { addOutboxMetrics } from '../../kit/outbox/waiting.ts'
import { drillTime, lastDrill } from '../../kit/process/backup-drill.ts'
import type { Config } from '../../kit/process/config.ts'
import type { Metrics } from '../../kit/process/metrics.ts'
import { backupsOf, isInFuture, lastVerifiedBackup } from '../../kit/process/verified-backup.ts'
import { SlicedCount } from '../../kit/sliced-count.ts'
import type { KeyRing } from '../keys/ring.ts'
import { LOGIN_OUTCOMES, type LoginOutcome } from '../login/outcome.ts'
import { MAIL_OUTCOMES } from '../mail/queue.ts'
import type { FigureStore } from '../store/index.ts'
import { DELIVERY_OUTCOMES, type DeliveryCount } from '../webhooks/outcome.ts'

export interface AuthCounters {
  login(outcome: LoginOutcome): void
  mail(outcome: (typeof MAIL_OUTCOMES)[number]): void
  delivery: DeliveryCount
}

/** Adds the counters of auth. */
export function authCounters(metrics: Metrics): AuthCounters {
  const logins = { name: 'ch202_logins_total', help: 'Steps of logins, of every kind, by their outcome' }
  const mails = { name: 'ch202_mails_total', help: 'Attempts to send a mail, by their outcome' }
  const deliveries = { name: 'ch202_deliveries_total', help: 'Attempts to deliver an event, by receiver and outcome' }
  const deliveriesTo = (receiver: 'webhook' | 'amqp') =>
    metrics.counter(deliveries, 'outcome', DELIVERY_OUTCOMES, { receiver })
  const byReceiver = { webhook: deliveriesTo('webhook'), amqp: deliveriesTo('amqp') }
  return {
    login: metrics.counter(logins, 'outcome', LOGIN_OUTCOMES),
    mail: metrics.counter(mails, 'outcome', MAIL_OUTCOMES),
    delivery: (receiver, outcome) => byReceiver[receiver](outcome),
  }
}

interface Sources {
  clock: Clock
  config: Pick<Config, 'backupS3Url' | 'databaseUrl' | 'dataDir' | 'signingKeyMaxAge'>
  keyRing: Pick<KeyRing, 'active' | 'inUse'>
  revocations: { readonly size: number }
  store: FigureStore
}

/** Adds the values that are read at each scrape of auth. */
export function addAuthMetrics(metrics: Metrics, { clock, config, keyRing, revocations, store }: Sources): void {
  const sessions = new SlicedCount(clock, (after, limit) => store.countLiveSessions(clock.now(), after, limit))
  const accounts = new SlicedCount(clock, (after, limit) => store.countCachedAccounts(after, limit))
  metrics.gauge('ch202_sessions_live', 'Live sessions, as `ch202 sessions list` lists them', () => sessions.read())
  metrics.gauge('ch202_password_cache_entries', 'Users in the password cache', () => accounts.read())
  metrics.gauge('ch202_revocations_live', 'Revocations that have not expired', () => revocations.size)
  metrics.gauge('ch202_deliveries_dead', 'Dead letters: events that could not be delivered', () =>
    store.countDeadDeliveries(),
  )
  addOutboxMetrics(metrics, clock, {
    mails: () => store.waitingMails(),
    webhooks: () => store.waitingDeliveries('webhook'),
    amqp: () => store.waitingDeliveries('amqp'),
    client_logouts: () => store.waitingClientLogouts(),
  })
  metrics.gauge('ch202_signing_key_age_seconds', 'Age of the key that signs, for each algorithm in use', () =>
    keyRing.inUse.flatMap((alg) => {
      const key = keyRing.active(alg)
      return key ? [{ labels: { alg }, value: secondsSince(clock, key.createdAt) }] : []
    }),
  )
  metrics.gauge('ch202_signing_key_max_age_seconds', 'The setting `SIGNING_KEY_MAX_AGE`', () => {
    return config.signingKeyMaxAge / 1000
  })
  // PostgreSQL has backups of its own, of which Ch202 does not know.
  if (config.databaseUrl !== undefined) return
  const help =
    'Age of the last verified backup in the data directory; `+Inf`: no backup is verified. Without a `DATABASE_URL`'
  metrics.gauge('ch202_backup_verified_age_seconds', help, () => {
    const madeAt = lastVerifiedBackup(backupsOf(config.dataDir), clock.now())
    return madeAt === null ? Number.POSITIVE_INFINITY : secondsSince(clock, madeAt)
  })
  if (config.backupS3Url === undefined) return
  const drillHelp =
    'Time since a backup of the bucket was restored on trial, or the age of that backup if it is older; `+Inf`: never, or the last trial failed. With a `BACKUP_S3_URL`'
  metrics.gauge('ch202_backup_drill_age_seconds', drillHelp, () => {
    const drill = lastDrill(backupsOf(config.dataDir))
    if (!drill?.passed || isInFuture(drillTime(drill), clock.now())) return Number.POSITIVE_INFINITY
    return secondsSince(clock, drillTime(drill))
  })
}

function secondsSince(clock: Clock, time: number): number {
  return Math.max(0, clock.now() - time) / 1000
}
