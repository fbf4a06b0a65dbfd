/** An alert: something that an operator has to look into. */
export interface Alert {
  name: string
  /** The expression of PromQL that is true while there is something to look into. @param job the job that scrapes Ch202 */
  expression(job: string): string
  /** How long it must be true. */
  holds: string
  /** `critical`: users notice it now. */
  severity: 'critical' | 'warning'
  /** One sentence, with the labels of the alert as Prometheus fills them in. */
  summary: string
  /** The command that looks into it, on a machine of Ch202. */
  command: string
}

const REQUESTS = 'ch202_http_request_duration_seconds'
/** Leaves out the health checks: they answer 503 to load balancers on purpose. */
const NO_HEALTH = 'route!~".*/health.*"'
/** Leaves out what takes as long as its data is long. */
const NO_STREAMS = 'route!~".*/users/(import|export)"'

/** The sum of what a counter has grown within a time, by some labels. */
const growth = (by: string, selector: string, within: string) => `sum by (${by}) (increase(${selector}[${within}]))`

/** True when more attempts have failed than succeeded, and more than a few. */
function mostlyFails(by: string, metric: string, job: string, success: string): string {
  const failed = growth(by, `${metric}{job="${job}", outcome!="${success}"}`, '15m')
  return `${failed} > 3 and ${failed} > ${growth(by, `${metric}{job="${job}", outcome="${success}"}`, '15m')}`
}

const oldest = (job: string, outboxes: string) =>
  `max by (job, service, outbox) (ch202_outbox_oldest_seconds{job="${job}", ${outboxes}})`

export const ALERTS: readonly Alert[] = [
  {
    name: 'Ch202Down',
    expression: (job) => `up{job="${job}"} == 0`,
    holds: '1m',
    severity: 'critical',
    summary: 'Ch202 at {{ $labels.instance }} does not answer, or refuses the key for metrics',
    command: 'ch202 health',
  },
  {
    name: 'Ch202NotReady',
    expression: (job) => `ch202_ready{job="${job}"} == 0`,
    holds: '2m',
    severity: 'critical',
    summary:
      '{{ $labels.service }} at {{ $labels.instance }} should get no requests: it has no database, or no contact to auth',
    command: 'ch202 doctor',
  },
  {
    name: 'Ch202Errors',
    expression(job) {
      const requests = (status: string) => `${REQUESTS}_count{job="${job}", ${NO_HEALTH}${status}}`
      const failed = growth('job, service', requests(', status=~"5.."'), '5m')
      return `${failed} > 5 and ${failed} / ${growth('job, service', requests(''), '5m')} > 0.05`
    },
    holds: '5m',
    severity: 'critical',
    summary: '{{ $labels.service }} answers more than 5 % of the requests with an error of its own',
    command: 'ch202 logs {{ $labels.service }} --since 10m --level warn',
  },
  {
    name: 'Ch202Slow',
    expression: (job) =>
      `histogram_quantile(0.99, sum by (job, service, le) (rate(${REQUESTS}_bucket{job="${job}", ${NO_STREAMS}}[5m]))) > 1`,
    holds: '10m',
    severity: 'warning',
    summary: 'One of a hundred requests to {{ $labels.service }} takes longer than a second',
    command: 'ch202 ps',
  },
  {
    name: 'Ch202HashQueueFull',
    expression: (job) => `increase(ch202_hash_queue_shed_total{job="${job}"}[5m]) > 0`,
    holds: '5m',
    severity: 'critical',
    summary: 'Ch202 at {{ $labels.instance }} refuses logins: more passwords arrive than its cores can check',
    command: 'ch202 audit list --type login.failed --since 10m',
  },
  {
    name: 'Ch202NoticesLate',
    expression: (job) => `${oldest(job, 'service!="auth"')} > 60`,
    holds: '5m',
    severity: 'critical',
    summary: 'Changes do not get from {{ $labels.service }} to {{ $labels.outbox }}',
    command: 'ch202 doctor --only outbox.{{ $labels.service }}',
  },
  {
    name: 'Ch202MailsLate',
    expression: (job) => `${oldest(job, 'service="auth", outbox="mails"')} > 600`,
    holds: '5m',
    severity: 'warning',
    summary: 'A mail has waited for more than ten minutes',
    command: 'ch202 mail list --status queued',
  },
  {
    name: 'Ch202MailsFail',
    expression: (job) => mostlyFails('job', 'ch202_mails_total', job, 'sent'),
    holds: '5m',
    severity: 'critical',
    summary: 'Most mails cannot be sent: nobody can reset a password or verify an email',
    command: 'ch202 doctor --only mail',
  },
  {
    name: 'Ch202DeliveriesLate',
    expression: (job) => `${oldest(job, 'service="auth", outbox=~"webhooks|amqp"')} > 3600`,
    holds: '5m',
    severity: 'warning',
    summary: 'An event has waited for more than an hour ({{ $labels.outbox }})',
    command: 'ch202 webhooks deliveries --status pending',
  },
  {
    name: 'Ch202DeliveriesFail',
    expression: (job) => mostlyFails('job, receiver', 'ch202_deliveries_total', job, 'delivered'),
    holds: '15m',
    severity: 'warning',
    summary: 'Most events cannot be delivered ({{ $labels.receiver }})',
    command: 'ch202 webhooks deliveries --status pending',
  },
  {
    name: 'Ch202DeadLetters',
    expression: (job) => `max by (job) (ch202_deliveries_dead{job="${job}"}) > 0`,
    holds: '5m',
    severity: 'warning',
    summary: '{{ $value }} events were given up. Replay them when their receiver answers again',
    command: 'ch202 webhooks deliveries --status dead',
  },
  {
    name: 'Ch202LogoutsLate',
    expression: (job) => `${oldest(job, 'service="auth", outbox="client_logouts"')} > 600`,
    holds: '5m',
    severity: 'warning',
    summary: 'An app has not acknowledged the end of a session for more than ten minutes',
    command: 'ch202 doctor --only clients.logouts',
  },
  {
    name: 'Ch202BackupOld',
    expression: (job) => `min by (job) (ch202_backup_verified_age_seconds{job="${job}"}) > 7 * 86400`,
    holds: '1h',
    severity: 'warning',
    summary: 'No backup of the last seven days was verified',
    command: 'ch202 backup list',
  },
  {
    name: 'Ch202BackupDrillOld',
    expression: (job) => `min by (job) (ch202_backup_drill_age_seconds{job="${job}"}) > 8 * 86400`,
    holds: '1h',
    severity: 'warning',
    summary: 'No backup of the bucket from the last eight days was restored on trial, or the last trial failed',
    command: 'ch202 doctor --only backup.drill',
  },
  {
    name: 'Ch202SigningKeyOld',
    expression: (job) =>
      `max by (job, alg) (ch202_signing_key_age_seconds{job="${job}"}) > on (job) group_left () max by (job) (ch202_signing_key_max_age_seconds{job="${job}"}) + 86400`,
    holds: '1h',
    severity: 'warning',
    summary: 'The signing key of {{ $labels.alg }} should have been replaced a day ago',
    command: 'ch202 keys list',
  },
  {
    name: 'Ch202LoginsFail',
    expression(job) {
      const logins = (outcomes: string) =>
        growth('job', `ch202_logins_total{job="${job}", outcome=~"${outcomes}"}`, '5m')
      const failed = logins('refused|rate_limited')
      return `${failed} > 100 and ${failed} > 2 * ${logins('succeeded|continued')}`
    },
    holds: '5m',
    severity: 'warning',
    summary: 'Far more logins fail than succeed: someone may be guessing passwords',
    command: 'ch202 audit list --type login.failed --since 10m',
  },
]
