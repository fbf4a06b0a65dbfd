import { Option } from 'commander'
import { SERVICE_NAMES } from '../../../services/registry.ts'
import { dataDirOf } from '../../client/settings.ts'
import { EXIT, usage } from '../../exit.ts'
import { plain, write } from '../../terminal/terminal.ts'
import { SINCE, since } from '../../terminal/times.ts'
import { command, type Tool, withTool } from '../../tool/command.ts'
import { createFilter } from './filter.ts'
import { csvHeader, formatLine, LEVELS, type Level, type LogLine } from './line.ts'
import { mergeByTime } from './merge.ts'
import { ServiceLog, servicesWithLogs } from './service.ts'

interface LogsOptions {
  follow?: boolean
  since?: string
  level?: Level
  requestId?: string
}

/** Milliseconds between two checks for new lines. */
const POLL_MS = 200
/** Number of existing lines that --follow prints first. */
const INITIAL_LINES = 10

export function logsCommand() {
  return command('logs', 'Show the logs of the services on this machine, sorted by time', [
    'ch202 logs --since 10m --level warn',
    'ch202 logs auth users --request-id 0198c0de-0000-7000-8000-000000000000',
    'ch202 logs --since 2026-11-20T10:00:00Z -o jsonl | tail -n 100',
  ])
    .argument('[services...]', 'only these services (default: all)')
    .option('-f, --follow', 'print new lines as they come, until Ctrl-C')
    .option('--since <time>', SINCE, since)
    .addOption(new Option('--level <level>', 'only lines with this level or above').choices(LEVELS))
    .option('--request-id <id>', 'only lines of this request, in all services')
    .action(withTool(logs))
}

async function logs(tool: Tool, options: LogsOptions, services: string[]): Promise<void> {
  const { env, globals } = tool
  if (globals.url !== undefined) throw usage('logs reads files on the local machine; --url does not apply')
  const dataDir = dataDirOf(env)
  refuseUnknown(services, dataDir)
  const { level, requestId, since: sinceTime } = options
  const filter = createFilter({ services, since: sinceTime, level, requestId })
  const serviceLogs = new Map<string, ServiceLog>()
  const hasLogs = servicesWithLogs(dataDir).length > 0
  const asOneJson = tool.out.options.output === 'json' && !options.follow
  if (!hasLogs && !options.follow && !asOneJson) return tool.out.say(`Nothing has been logged in ${dataDir} yet`)

  if (tool.out.options.output === 'csv') await write(csvHeader(tool.out.options.fields))
  const onlyLast = options.follow && sinceTime === undefined && requestId === undefined
  const read = (service: ServiceLog) => filtered(service.read(), filter)
  const sinceMs = sinceTime === undefined ? 0 : Date.parse(sinceTime)
  for (const name of servicesWithLogs(dataDir)) serviceLogs.set(name, new ServiceLog(dataDir, name).open(sinceMs))
  const lines = mergeByTime([...serviceLogs.values()].map(read))
  if (asOneJson) return tool.out.items(parts(tool, lines))
  for (const line of onlyLast ? lastLines(lines, INITIAL_LINES) : lines) await print(tool, line)
  if (options.follow) await follow(tool, dataDir, serviceLogs, read)
}

/** Prints new lines until SIGINT. */
async function follow(
  tool: Tool,
  dataDir: string,
  serviceLogs: Map<string, ServiceLog>,
  read: (service: ServiceLog) => Iterable<LogLine>,
): Promise<never> {
  process.once('SIGINT', () => process.exit(EXIT.interrupted))
  for (;;) {
    await Bun.sleep(POLL_MS)
    for (const name of servicesWithLogs(dataDir))
      if (!serviceLogs.has(name)) serviceLogs.set(name, new ServiceLog(dataDir, name))
    for (const service of serviceLogs.values()) service.follow()
    const lines = [...serviceLogs.values()].flatMap((service) => [...read(service)])
    for (const line of lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))) await print(tool, line)
  }
}

/** Yields lines as the items of one JSON value. */
async function* parts({ out }: Tool, lines: Iterable<LogLine>): AsyncGenerator<string[]> {
  for (const line of lines) {
    const text = formatLine(line, out.options)
    if (text !== undefined) yield [text]
  }
}

async function print({ out }: Tool, line: LogLine): Promise<void> {
  const text = formatLine(line, out.options)
  if (text !== undefined) await write(text)
}

function* filtered(texts: Iterable<string>, filter: (text: string) => LogLine | undefined): Generator<LogLine> {
  for (const text of texts) {
    const line = filter(text)
    if (line) yield line
  }
}

function lastLines(lines: Iterable<LogLine>, max: number): LogLine[] {
  const result: LogLine[] = []
  for (const line of lines) if (result.push(line) > max) result.shift()
  return result
}

function refuseUnknown(services: readonly string[], dataDir: string): void {
  const names = [...new Set([...SERVICE_NAMES, ...servicesWithLogs(dataDir)])]
  const unknown = services.find((name) => !names.includes(name))
  if (unknown !== undefined) throw usage(`There is no service ${plain(unknown)}: the services are ${names.join(', ')}`)
}
