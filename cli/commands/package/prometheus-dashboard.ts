const REQUESTS = 'ch202_http_request_duration_seconds'

interface Panel {
  title: string
  /** The lines or numbers: each an expression of PromQL, and its name with the labels that Grafana fills in. */
  lines: readonly (readonly [expression: string, legend: string])[]
  /** The unit, as Grafana names it. */
  unit?: string
  /** `stat`: the current number; otherwise lines over time. */
  kind?: 'stat'
}

/** The panels. `$job` stands for the job that scrapes Ch202. */
const PANELS: readonly Panel[] = [
  { title: 'Ready', kind: 'stat', lines: [['ch202_ready{$job}', '{{service}} {{instance}}']] },
  { title: 'Live sessions', kind: 'stat', lines: [['max(ch202_sessions_live{$job})', 'sessions']] },
  {
    title: 'Age of the last verified backup',
    kind: 'stat',
    unit: 's',
    lines: [
      ['min(ch202_backup_verified_age_seconds{$job})', 'here'],
      ['min(ch202_backup_drill_age_seconds{$job})', 'trial restore from the bucket'],
    ],
  },
  {
    title: 'Age of the signing keys',
    kind: 'stat',
    unit: 's',
    lines: [
      ['max by (alg) (ch202_signing_key_age_seconds{$job})', '{{alg}}'],
      ['max(ch202_signing_key_max_age_seconds{$job})', 'replaced at'],
    ],
  },
  {
    title: 'Requests',
    unit: 'reqps',
    lines: [[`sum by (service) (rate(${REQUESTS}_count{$job}[$__rate_interval]))`, '{{service}}']],
  },
  {
    title: 'Errors (5xx)',
    unit: 'reqps',
    lines: [
      [
        `sum by (service, status) (rate(${REQUESTS}_count{$job, status=~"5.."}[$__rate_interval]))`,
        '{{service}} {{status}}',
      ],
    ],
  },
  {
    title: 'Time of requests, 99th percentile',
    unit: 's',
    lines: [
      [
        `histogram_quantile(0.99, sum by (service, le) (rate(${REQUESTS}_bucket{$job}[$__rate_interval])))`,
        '{{service}}',
      ],
    ],
  },
  {
    title: 'Average time of the slowest routes',
    unit: 's',
    lines: [
      [
        `topk(8, sum by (route) (rate(${REQUESTS}_sum{$job}[$__rate_interval])) / sum by (route) (rate(${REQUESTS}_count{$job}[$__rate_interval])))`,
        '{{route}}',
      ],
    ],
  },
  {
    title: 'Logins by outcome',
    unit: 'cps',
    lines: [['sum by (outcome) (rate(ch202_logins_total{$job}[$__rate_interval]))', '{{outcome}}']],
  },
  {
    title: 'Password hashes',
    lines: [
      ['sum(ch202_hash_queue_waiting{$job})', 'waiting'],
      ['sum(ch202_hash_queue_running{$job})', 'running'],
      ['sum(increase(ch202_hash_queue_shed_total{$job}[$__rate_interval]))', 'refused'],
    ],
  },
  {
    title: 'Mails by outcome',
    unit: 'cps',
    lines: [['sum by (outcome) (rate(ch202_mails_total{$job}[$__rate_interval]))', '{{outcome}}']],
  },
  {
    title: 'Deliveries of events by outcome',
    unit: 'cps',
    lines: [
      ['sum by (receiver, outcome) (rate(ch202_deliveries_total{$job}[$__rate_interval]))', '{{receiver}} {{outcome}}'],
    ],
  },
  {
    title: 'Outboxes: entries that wait',
    lines: [
      ['max by (service, outbox) (ch202_outbox_waiting{$job})', '{{service}} → {{outbox}}'],
      ['max(ch202_deliveries_dead{$job})', 'dead letters'],
    ],
  },
  {
    title: 'Outboxes: age of the oldest entry',
    unit: 's',
    lines: [['max by (service, outbox) (ch202_outbox_oldest_seconds{$job})', '{{service}} → {{outbox}}']],
  },
  {
    title: 'Revocations and the password cache',
    lines: [
      ['max(ch202_revocations_live{$job})', 'revocations'],
      ['max(ch202_password_cache_entries{$job})', 'users in the cache'],
    ],
  },
  {
    title: 'Polls of the feeds',
    unit: 'cps',
    lines: [['sum by (route) (rate(ch202_feed_polls_total{$job}[$__rate_interval]))', '{{route}}']],
  },
  {
    title: 'Resident memory',
    unit: 'bytes',
    lines: [['ch202_process_resident_memory_bytes{$job}', '{{instance}}']],
  },
  { title: 'Uptime', unit: 's', lines: [['ch202_process_uptime_seconds{$job}', '{{instance}}']] },
]

/** The variable of the dashboard that names the source of its data. */
const DATA_SOURCE_NAME = 'datasource'
const DATA_SOURCE = { type: 'prometheus', uid: `$${DATA_SOURCE_NAME}` }
/** Grafana's grid has 24 columns. */
const COLUMNS = 24
const WIDTH = { stat: 6, timeseries: 12 }
const HEIGHT = { stat: 5, timeseries: 8 }

/** Builds a dashboard of Grafana, which asks for the source of its data when it is imported. @param job the job that scrapes Ch202 */
export function dashboard(job: string) {
  let [x, y] = [0, 0]
  const panels = PANELS.map(({ kind, lines, title, unit = 'short' }, index) => {
    const type = kind ?? 'timeseries'
    const gridPos = { x, y, w: WIDTH[type], h: HEIGHT[type] }
    x += gridPos.w
    if (x >= COLUMNS) [x, y] = [0, y + gridPos.h]
    return {
      id: index + 1,
      type,
      title,
      datasource: DATA_SOURCE,
      gridPos,
      fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
      targets: lines.map(([expression, legendFormat], line) => ({
        refId: String.fromCharCode(65 + line),
        datasource: DATA_SOURCE,
        expr: expression.replaceAll('$job', `job="${job}"`),
        legendFormat,
      })),
    }
  })
  return {
    uid: 'ch202',
    title: 'Ch202',
    schemaVersion: 39,
    timezone: 'browser',
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: [{ name: DATA_SOURCE_NAME, type: 'datasource', query: 'prometheus', label: 'Data source' }] },
    panels,
  }
}
