import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { startPostgres } from '../support/postgres/server.ts'
import { S3Server } from '../support/servers/s3-server.ts'
import { openInstance } from '../support/shell.ts'
import { ownSettings, ROOT, type Running } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import { BEFORE, prepare } from './fixtures.ts'

// Processes start slowly on a busy machine; what has to be quick is measured.
setDefaultTimeout(120_000)

/** Commands that keep running: the output when they are ready (null: no output), the signal that ends them, their status. */
const STAY: readonly [example: RegExp, shown: RegExp | null, signal: NodeJS.Signals, status: number][] = [
  [/^ch202 (start|serve)\b/, /ready at/, 'SIGTERM', 0],
  [/^ch202 (audit tail|logs .*(-f|--follow))\b/, null, 'SIGINT', 130],
]
/** How long a command without output must keep running; milliseconds. */
const STAYS = 700

/** An example that runs longer than this is missing in `STAY`; milliseconds. */
const LATE = 60_000

/** Commands that need an instance of their own: they keep running, or they begin with an empty directory. */
const ALONE = /^ch202 (start|serve|migrate)\b/

/** The server of examples that name a PostgreSQL database: they run with that of the tests in its place, one by one. */
const SERVER = '127.0.0.1:5432'

/** Commands for files: where the instance has a PostgreSQL database, they run on a stopped installation with files. */
const FOR_FILES = /^ch202 (backup|restore)\b|\bdb\.\w+\.integrity\b/

/** Commands that write into the sources: their examples use --dry-run. */
const IN_CHECKOUT = /^ch202 new service\b.* --dry-run\b/

/** Commands that may run beside others: they only read, or write files that no other uses. The rest runs one by one. */
const BESIDE = new RegExp(
  `^ch202 (${[
    'version|openapi|completion|package|config|health|doctor|ps|logs|status|api GET',
    'users (list|get)|sessions list|cache (status|list)|modules (list|get|users)|keys list|clients list|context list',
    'mail (list|preview)|audit|backup list|new service',
  ].join('|')})\\b`,
)
/** The number of processes at once. */
const AT_ONCE = 4

/** The exit status of examples, if it is not 0. */
const STATUS: Record<string, number> = {}

let instance: Awaited<ReturnType<typeof openInstance>>
/** The bucket of the examples. */
const store = new S3Server()
beforeAll(async () => {
  instance = await openInstance('help')
  Object.assign(instance.shell.env, { BACKUP_S3_URL: store.url(), BACKUP_PASSPHRASE: 'a passphrase of the examples' })
})
afterAll(async () => {
  await instance.close()
  await store.stop()
})

interface Leaf {
  words: string[]
  help: string
  examples: string[]
}

/** Every command without subcommands, according to the help. */
async function leaves(words: string[] = []): Promise<Leaf[]> {
  const { status, stderr, stdout: help } = await instance.shell.run(['ch202', ...words, '--help'].join(' '))
  expect([words, status, stderr]).toEqual([words, 0, ''])
  if (!/^Usage: .*\[command\]/.test(help))
    return [{ words, help, examples: [...help.matchAll(/^ {2}\$ (.*)$/gm)].map(([, line]) => line ?? '') }]
  const below = [...help.matchAll(/^ {2}([a-z][a-z-]*)(?: |$)/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'help')
  return (await Promise.all(below.map((name) => leaves([...words, name])))).flat()
}

let commands: Promise<Leaf[]> | undefined
function all(): Promise<Leaf[]> {
  commands ??= leaves()
  return commands
}

test('names every command, by each way to print it', async () => {
  const nouns = [...new Set((await all()).map(({ words }) => words[0] ?? ''))]
  expect(nouns.length).toBeGreaterThan(4)
  for (const line of ['ch202', 'ch202 --help', 'ch202 -h', 'ch202 help']) {
    const { status, stdout, stderr } = await instance.shell.run(line)
    expect([line, status]).toEqual([line, 0])
    for (const noun of nouns) expect(stdout + stderr).toMatch(new RegExp(`^  ${noun}\\b`, 'm'))
    expect(stdout + stderr).toContain('-o, --output <format>')
  }
})

test('is printed to standard output', async () => {
  const lines = ['ch202 --help', 'ch202 users --help', 'ch202 users create --help', 'ch202 help users']
  const ends = await Promise.all(lines.map((line) => instance.shell.run(line)))
  for (const ended of ends)
    expect(ended).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^Usage: ch202/) })
})

test('of every command has a description and two examples', async () => {
  for (const { words, help, examples } of await all()) {
    const name = ['ch202', ...words].join(' ')
    expect([name, help.startsWith(`Usage: ${name}`)]).toEqual([name, true])
    expect([name, /^Usage: .*\n\n[A-Z]\w.*(\n.+)*[^.]\n\n/.test(help)]).toEqual([name, true])
    expect([name, new Set(examples).size >= 2]).toEqual([name, true])
    for (const example of examples) expect([example, example.includes(name)]).toEqual([example, true])
    const mute = (help.match(/^ {2}-.*$/gm) ?? []).filter((option) => !/\S {2,}\S/.test(option.trim()))
    expect([name, mute]).toEqual([name, []])
    // Arguments are described beside the options, and defaults have the form of commander.
    const bare = /^Usage: .*[<[](?!options|command)/.test(help) && !help.includes('\nArguments:\n')
    expect([name, bare, help.match(/\(default [^)]*\)/)]).toEqual([name, false, null])
  }
})

function end(running: Running, signal: NodeJS.Signals): void {
  try {
    running.signal(signal)
  } catch {
    // It has ended by itself: its exit status is checked below.
  }
}

/** Runs examples on a stopped installation and an empty database, in the order of the help. Gives their faults. */
async function wrongWithPostgres(examples: readonly string[]): Promise<string[]> {
  const server = await startPostgres()
  try {
    await server.run('postgres', 'CREATE DATABASE ch202', 'CREATE DATABASE restored')
    const { shell } = instance
    const env = emptyInstallation()
    const restored = { ...env, DATABASE_URL: server.addressOf('restored') }
    for (const settings of [env, restored])
      expect(await shell.run('ch202 migrate', { env: settings })).toMatchObject({ status: 0 })
    const wrong: string[] = []
    for (const example of examples)
      wrong.push(...(await wrongWith(example.replaceAll(SERVER, `127.0.0.1:${server.port}`), { env })))
    return wrong
  } finally {
    await server.stop()
  }
}

/** Runs examples on a stopped installation with files, in the order of the help. Gives their faults. */
async function wrongWithFiles(examples: readonly string[]): Promise<string[]> {
  const env = emptyInstallation()
  for (const words of ['migrate', 'backup create'])
    expect(await instance.shell.run(`ch202 ${words}`, { env })).toMatchObject({ status: 0 })
  const wrong: string[] = []
  for (const example of examples) {
    await makeReady(example, env)
    wrong.push(...(await wrongWith(example, { env })))
  }
  return wrong
}

/** Runs the command that an example needs before it. */
async function makeReady(example: string, env: Record<string, string> = {}): Promise<void> {
  const before = BEFORE.find(([pattern]) => pattern.test(example))
  if (before) expect(await instance.shell.run(before[1], { env })).toMatchObject({ status: 0 })
}

/** The settings of an installation with files that does not exist yet. */
function emptyInstallation(): Record<string, string> {
  return ownSettings(instance.shell.fresh(), { DATABASE_URL: '' })
}

/** Commands that report a service which answers late, as one may on a busy machine. They get further attempts. */
const MOMENTARY = /^ch202 (doctor|health)\b/
const ATTEMPTS = 5

/** Runs an example as printed. Gives its faults. */
async function wrongWith(example: string, settings: { env?: Record<string, string> } = {}): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    const wrong = await wrongOnce(example, settings)
    if (wrong.length === 0 || !MOMENTARY.test(example) || attempt === ATTEMPTS) return wrong
  }
}

async function wrongOnce(example: string, settings: { env?: Record<string, string> }): Promise<string[]> {
  const { shell } = instance
  const stays = STAY.find(([pattern]) => pattern.test(example))
  const alone = ALONE.test(example) ? { env: emptyInstallation() } : settings
  // An interactive shell outlives its commands, and prints how they ended.
  const place = IN_CHECKOUT.test(example) ? `cd '${ROOT}'\n` : ''
  const running = shell.start(`${place}trap : TERM INT\n${example}`, { ...alone, group: true })
  // A command that keeps running without being in `STAY` must not outlive the tests.
  const late = setTimeout(() => end(running, 'SIGKILL'), LATE)
  let expected = STATUS[example] ?? 0
  if (stays) {
    const [, readyPattern, signal, status] = stays
    // If the text never appears, the output below shows why.
    if (readyPattern) await running.printed(readyPattern).catch(() => undefined)
    else await Promise.race([running.ended, Bun.sleep(STAYS)])
    end(running, readyPattern === null || readyPattern.test(running.stdout()) ? signal : 'SIGKILL')
    expected = status
  }
  const { status, stderr, stdout } = await running.ended
  clearTimeout(late)
  const fine = status === expected && !/✗|^\s+at |\.ts:\d/m.test(stderr)
  // A list of checks names the one that failed.
  const failed = stdout.split('\n').filter((line) => /✗|fail/.test(line))
  return fine ? [] : [`${example}: ${status} ${[...failed, stderr].join('\n')}`]
}

test('has examples that work as printed', async () => {
  // In the suite one of each third command.
  const leavesToRun = sliced(await all(), 3, ({ words }) => words[0])
  const printed = [...new Set(leavesToRun.flatMap(({ examples }) => (WHOLE ? examples : examples.slice(0, 1))))]
  const withServer = printed.filter((example) => example.includes(SERVER))
  const rest = printed.filter((example) => !withServer.includes(example))
  const withFiles = instance.system.database ? rest.filter((example) => FOR_FILES.test(example)) : []
  const examples = rest.filter((example) => !withFiles.includes(example))
  const { again } = await prepare(instance.system, instance.shell.path)
  const isBeside = (example: string) => (example.match(/\bch202 [^|)]*/g) ?? []).every((one) => BESIDE.test(one))
  const apart = examples.filter((example) => ALONE.test(example))
  const beside = examples.filter((example) => !apart.includes(example) && isBeside(example))
  const alone = Promise.all(apart.map((example) => wrongWith(example)))
  const wrong: string[] = []
  const queue = [...beside]
  const next = async () => {
    for (let example = queue.shift(); example !== undefined; example = queue.shift())
      wrong.push(...(await wrongWith(example)))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
  for (const example of examples.filter((one) => !apart.includes(one) && !beside.includes(one))) {
    await again(example)
    await makeReady(example)
    wrong.push(...(await wrongWith(example)))
  }
  wrong.push(...(await alone).flat(), ...(await wrongWithPostgres(withServer)), ...(await wrongWithFiles(withFiles)))
  expect(wrong).toEqual([])
  // About three hundred processes.
}, 600_000)
