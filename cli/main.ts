#!/usr/bin/env bun
import { Command, CommanderError, Option } from 'commander'
import { removeForeignDotenv } from './client/dotenv.ts'
import { EXIT, usage } from './exit.ts'
import { printFailure } from './terminal/failures.ts'
import { OUTPUTS, type Output } from './terminal/formats.ts'
import { handleBrokenPipe, note, plain } from './terminal/terminal.ts'

/** Every command, loaded only when it is called, which keeps `ch202 version` fast. */
const COMMANDS: Record<string, Record<string, () => Promise<Command>>> = {
  'Run:': {
    start: async () => (await import('./commands/start.ts')).startCommand(),
    serve: async () => (await import('./commands/serve.ts')).serveCommand(),
    ps: async () => (await import('./commands/ps.ts')).psCommand(),
    logs: async () => (await import('./commands/logs/logs.ts')).logsCommand(),
  },
  'Check:': {
    doctor: async () => (await import('./commands/doctor/doctor.ts')).doctorCommand(),
    health: async () => (await import('./commands/health.ts')).healthCommand(),
    config: async () => (await import('./commands/config.ts')).configCommand(),
  },
  'Access:': {
    login: async () => (await import('./commands/login/login.ts')).loginCommand(),
    logout: async () => (await import('./commands/logout.ts')).logoutCommand(),
    status: async () => (await import('./commands/status.ts')).statusCommand(),
    context: async () => (await import('./commands/context.ts')).contextCommand(),
    recover: async () => (await import('./commands/recover/recover.ts')).recoverCommand(),
  },
  'Users:': {
    users: async () => (await import('./commands/users/users.ts')).usersCommand(),
  },
  'Sessions:': {
    sessions: async () => (await import('./commands/sessions/sessions.ts')).sessionsCommand(),
  },
  'Cache:': {
    cache: async () => (await import('./commands/cache/cache.ts')).cacheCommand(),
  },
  'Modules:': {
    modules: async () => (await import('./commands/modules/modules.ts')).modulesCommand(),
  },
  'Keys:': {
    keys: async () => (await import('./commands/keys.ts')).keysCommand(),
  },
  'Clients:': {
    clients: async () => (await import('./commands/clients/clients.ts')).clientsCommand(),
  },
  'Webhooks:': {
    webhooks: async () => (await import('./commands/webhooks/webhooks.ts')).webhooksCommand(),
  },
  'Mail:': {
    mail: async () => (await import('./commands/mail/mail.ts')).mailCommand(),
  },
  'Audit:': {
    audit: async () => (await import('./commands/audit/audit.ts')).auditCommand(),
  },
  'Data:': {
    backup: async () => (await import('./commands/backup/backup.ts')).backupCommand(),
    restore: async () => (await import('./commands/restore.ts')).restoreCommand(),
    migrate: async () => (await import('./commands/migrate.ts')).migrateCommand(),
    move: async () => (await import('./commands/move.ts')).moveCommand(),
  },
  'Grow:': {
    new: async () => (await import('./commands/new/new.ts')).newCommand(),
  },
  'Package:': {
    package: async () => (await import('./commands/package/package.ts')).packageCommand(),
  },
  'Meta:': {
    api: async () => (await import('./commands/api.ts')).apiCommand(),
    openapi: async () => (await import('./commands/openapi.ts')).openapiCommand(),
    completion: async () => (await import('./commands/completion/completion.ts')).completionCommand(),
    version: async () => (await import('./commands/version.ts')).versionCommand(),
  },
}

const program = new Command('ch202')
  .description('Run and operate Ch202: users, logins and feature modules')
  .addOption(new Option('-o, --output <format>', 'output format').choices(OUTPUTS).default('table'))
  .option('--fields <names>', 'only these fields, separated by commas')
  .option('--bom', 'start CSV with a byte order mark, so that spreadsheets read it as UTF-8')
  .option('--wide', 'show every column of a table without shortening')
  .option('--url <address>', 'address of the instance to use')
  .option('-y, --yes', 'skip confirmation prompts')
  .option('-q, --quiet', 'print only errors; with -o or --fields also the data')
  .option('--debug', 'print each request on standard error')
  .option('--no-color', 'print without colors')
  .helpOption('-h, --help', 'show this help')
  .helpCommand('help [command]', 'Show the help of a command')
  .configureHelp({ showGlobalOptions: true, minWidthToWrap: 20 })
  .configureOutput({
    writeErr: (text) => note(text.trimEnd().split('\n').map(plain).join('\n')),
    outputError: (text, write) => write(`✗ ${usageMessage(text).replace(/(?=\n|$)/, ' (usage)')}`),
  })
  .exitOverride()
  .showHelpAfterError('→ ch202 --help')

/** Formats commander's message for a wrong use like other failures. */
function usageMessage(text: string): string {
  const message = text.replace(/^error: /, '').trimEnd()
  return message.charAt(0).toUpperCase() + message.slice(1)
}

/** The output format, found without commander, which may fail first: `-o json`, `-ojson`, `--output json`, `--output=json`. */
function outputOf(words: readonly string[]): Output {
  const at = words.findIndex((word) => /^(-o|--output$|--output=)/.test(word))
  const form = words[at]?.replace(/^(-o|--output=?)/, '') || words[at + 1]
  return OUTPUTS.find((output) => at >= 0 && output === form) ?? 'table'
}

const OPTIONS_WITH_VALUE = ['-o', '--output', '--fields', '--url']

/** The first word that is neither an option nor its value. */
function commandNameIn(words: readonly string[]): string | undefined {
  return words.find(
    (word, at) => word !== 'help' && !word.startsWith('-') && !OPTIONS_WITH_VALUE.includes(words[at - 1] ?? ''),
  )
}

/** Loads the named command; all commands if the name is unknown, for the help and for suggestions. */
async function load(words: readonly string[]): Promise<void> {
  const all = Object.entries(COMMANDS).flatMap(([group, commands]) =>
    Object.entries(commands).map(([name, command]) => ({ group, name, command })),
  )
  const commandName = commandNameIn(words)
  const matches = all.filter(({ name }) => name === commandName)
  for (const { command, group } of matches.length === 0 ? all : matches)
    program.addCommand(inheritSettings(await command(), 'ch202').helpGroup(group))
}

/** @param parents the words before the command */
function inheritSettings(command: Command, parents: string): Command {
  const words = `${parents} ${command.name()}`
  command.copyInheritedSettings(program).showHelpAfterError(`→ ${words} --help`)
  for (const child of command.commands) inheritSettings(child, words)
  return command
}

/** Completes the last word, which may be an incomplete command name. */
async function completeWords(words: string[]): Promise<void> {
  const { complete } = await import('./commands/completion/complete.ts')
  await load(words.slice(0, -1)).catch(() => undefined)
  await complete(words, program)
}

async function main(words: string[]): Promise<void> {
  try {
    removeForeignDotenv(process.env)
    // Whatever the umask was, only the owner can write new files.
    process.umask((process.umask() | 0o022) & ~0o700)
    // The scripts of `ch202 completion` call this at each Tab; `complete` is not a public command.
    if (words[0] === 'complete' && words[1] === '--') return await completeWords(words.slice(2))
    await load(words)
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander also throws for help, which is a success; all its other errors are wrong uses.
      const isHelp = error.exitCode === 0 || error.code === 'commander.help'
      // Commander has printed the error on standard error; JSON goes to standard output.
      if (!isHelp && outputOf(words).startsWith('json'))
        printFailure(usage(usageMessage(error.message).replaceAll('\n', ' ')), outputOf(words))
      process.exitCode = isHelp ? EXIT.done : EXIT.usage
      return
    }
    process.exitCode = printFailure(error, outputOf(words))
  }
}

handleBrokenPipe()

// No top-level await: a bundle with bytecode does not support it.
void main(process.argv.slice(2))
