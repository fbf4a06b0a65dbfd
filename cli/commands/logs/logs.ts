import { Option } from 'commander'
import { SERVICE_NAMES } from '../../../services/registry.ts'
import { dataDirOf } from '../../client/settings.ts'
import { EXIT, usage } from '../../exit.ts'
import { plain, write } from '../../terminal/terminal.ts'
import { SINCE, since } from '../../terminal/times.ts'
import { command, type Tool, withTool } from '../../tool/command.ts'
import { wantedLine } from './filter.ts'
import { csvHeader, LEVELS, type Level, type LogLine, shown } from './line.ts'
import { byTime } from './merge.ts'
import { LinesOfService, servicesWithLogs } from './service.ts'

interface Options {
  follow?: boolean
  since?: string
  level?: Level
  requestId?: string
}

/** How often is looked for more, in milliseconds. */
const LOOK_EVERY = 200
/** What is shown first of what is followed. */
const LAST = 10

export function logsCommand() {
  return command('logs', 'Show what the services of this machine have logged, by time', [
    'ch202 logs --since 10m --level warn',
    'ch202 logs auth users --request-id 0198c0de-0000-7000-8000-000000000000',
    'ch202 logs --since 2026-11-20T10:00:00Z -o jsonl | tail -n 100',
  ])
    .argument('[services...]', 'only lines of these (default: all)')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('--since <time>', SINCE, since)
    .addOption(new Option('--level <level>', 'of this level and above').choices(LEVELS))
    .option('--request-id <id>', 'of this request, in every service that it reached')
    .action(withTool(logs))
}

async function logs(tool: Tool, options: Options, services: string[]): Promise<void> {
  const { env, globals } = tool
  if (globals.url !== undefined) throw usage('Logs are read from the files of this machine: --url has none')
  const dataDir = dataDirOf(env)
  refuseUnknown(services, dataDir)
  const { level, requestId, since: from } = options
  const wanted = wantedLine({ services, since: from, level, requestId })
  const followed = new Map<string, LinesOfService>()
  const isThere = servicesWithLogs(dataDir).length > 0
  const whole = tool.out.options.output === 'json' && !options.follow
  if (!isThere && !options.follow && !whole) return tool.out.say(`Nothing has been logged in ${dataDir} yet`)

  if (tool.out.options.output === 'csv') await write(csvHeader(tool.out.options.fields))
  const lastOnly = options.follow && from === undefined && requestId === undefined
  const read = (from: LinesOfService) => only(from.read(), wanted)
  const begun = from === undefined ? 0 : Date.parse(from)
  for (const name of servicesWithLogs(dataDir)) followed.set(name, new LinesOfService(dataDir, name).open(begun))
  const there = byTime([...followed.values()].map(read))
  if (whole) return tool.out.items(parts(tool, there))
  for (const line of lastOnly ? last(there, LAST) : there) await print(tool, line)
  if (options.follow) await follow(tool, dataDir, followed, read)
}

/** Never ends by itself. */
async function follow(
  tool: Tool,
  dataDir: string,
  followed: Map<string, LinesOfService>,
  read: (from: LinesOfService) => Iterable<LogLine>,
): Promise<never> {
  process.once('SIGINT', () => process.exit(EXIT.interrupted))
  for (;;) {
    await Bun.sleep(LOOK_EVERY)
    for (const name of servicesWithLogs(dataDir))
      if (!followed.has(name)) followed.set(name, new LinesOfService(dataDir, name))
    for (const service of followed.values()) service.follow()
    const lines = [...followed.values()].flatMap((service) => [...read(service)])
    for (const line of lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))) await print(tool, line)
  }
}

/** Lines as the items of one JSON value. */
async function* parts({ out }: Tool, lines: Iterable<LogLine>): AsyncGenerator<string[]> {
  for (const line of lines) {
    const text = shown(line, out.options)
    if (text !== undefined) yield [text]
  }
}

async function print({ out }: Tool, line: LogLine): Promise<void> {
  const text = shown(line, out.options)
  if (text !== undefined) await write(text)
}

function* only(texts: Iterable<string>, wanted: (text: string) => LogLine | undefined): Generator<LogLine> {
  for (const text of texts) {
    const line = wanted(text)
    if (line) yield line
  }
}

function last(lines: Iterable<LogLine>, most: number): LogLine[] {
  const kept: LogLine[] = []
  for (const line of lines) if (kept.push(line) > most) kept.shift()
  return kept
}

function refuseUnknown(services: readonly string[], dataDir: string): void {
  const known = [...new Set([...SERVICE_NAMES, ...servicesWithLogs(dataDir)])]
  const unknown = services.find((name) => !known.includes(name))
  if (unknown !== undefined) throw usage(`There is no service ${plain(unknown)}: there are ${known.join(', ')}`)
}
