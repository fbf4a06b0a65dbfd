#!/usr/bin/env bun
import { Command, CommanderError, Option } from 'commander'
import { removeForeignDotenv } from './client/dotenv.ts'
import { EXIT, usage } from './exit.ts'
import { OUTPUTS, type Output, printFailure } from './terminal/output.ts'
import { handleBrokenPipe, note, plain } from './terminal/terminal.ts'

/** Every command, loaded when it is called: nothing else is read for `ch202 version`. */
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
    login: async () => (await import('./commands/login.ts')).loginCommand(),
    logout: async () => (await import('./commands/logout.ts')).logoutCommand(),
    status: async () => (await import('./commands/status.ts')).statusCommand(),
    context: async () => (await import('./commands/context.ts')).contextCommand(),
    recover: async () => (await import('./commands/recover.ts')).recoverCommand(),
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
  'Webhooks:': {
    webhooks: async () => (await import('./commands/webhooks/webhooks.ts')).webhooksCommand(),
  },
  'Audit:': {
    audit: async () => (await import('./commands/audit/audit.ts')).auditCommand(),
  },
  'Data:': {
    backup: async () => (await import('./commands/backup/backup.ts')).backupCommand(),
    restore: async () => (await import('./commands/restore.ts')).restoreCommand(),
    migrate: async () => (await import('./commands/migrate.ts')).migrateCommand(),
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
  .description('Runs and operates Ch202: users, logins and feature modules')
  .addOption(new Option('-o, --output <form>', 'the form of what is printed').choices(OUTPUTS).default('table'))
  .option('--fields <names>', 'show only these fields, separated by commas')
  .option('--bom', 'begin CSV with a byte order mark, by which spreadsheets know its letters')
  .option('--wide', 'show every column of a table, and all of each')
  .option('--url <address>', 'talk to the instance at this address')
  .option('-y, --yes', 'do not ask before what can’t be undone')
  .option('-q, --quiet', 'print data and errors alone')
  .option('--debug', 'show each request on standard error')
  .option('--no-color', 'print no colours')
  .helpOption('-h, --help', 'show this help')
  .helpCommand('help [command]', 'Show the help of a command')
  .configureHelp({ showGlobalOptions: true })
  .configureOutput({
    writeErr: (text) => note(text.trimEnd().split('\n').map(plain).join('\n')),
    outputError: (text, write) => write(`✗ ${wrongUse(text).replace(/(?=\n|$)/, ' (usage)')}`),
  })
  .exitOverride()
  .showHelpAfterError('→ ch202 --help')

/** What commander says of a wrong use, in the words of the other failures. */
function wrongUse(text: string): string {
  const said = text.replace(/^error: /, '').trimEnd()
  return said.charAt(0).toUpperCase() + said.slice(1)
}

/** Before or without commander, which may be what fails: `-o json`, `-ojson`, `--output json`, `--output=json`. */
function outputOf(words: readonly string[]): Output {
  const at = words.findIndex((word) => /^(-o|--output$|--output=)/.test(word))
  const form = words[at]?.replace(/^(-o|--output=?)/, '') || words[at + 1]
  return OUTPUTS.find((known) => at >= 0 && known === form) ?? 'table'
}

const VALUED = ['-o', '--output', '--fields', '--url']

/** The first word that is neither an option nor the value of one. */
function commandIn(words: readonly string[]): string | undefined {
  return words.find((word, at) => word !== 'help' && !word.startsWith('-') && !VALUED.includes(words[at - 1] ?? ''))
}

/** The one that is named; all where none is, so that the help and a misspelling find them. */
async function load(words: readonly string[]): Promise<void> {
  const all = Object.entries(COMMANDS).flatMap(([group, commands]) =>
    Object.entries(commands).map(([name, command]) => ({ group, name, command })),
  )
  const wanted = commandIn(words)
  const named = all.filter(({ name }) => name === wanted)
  for (const { command, group } of named.length === 0 ? all : named)
    program.addCommand(inherit(await command(), 'ch202').helpGroup(group))
}

/** @param above the words that stand before the command */
function inherit(command: Command, above: string): Command {
  const words = `${above} ${command.name()}`
  command.copyInheritedSettings(program).showHelpAfterError(`→ ${words} --help`)
  for (const child of command.commands) inherit(child, words)
  return command
}

/** The word that is being typed may name no command yet. */
async function completeWords(words: string[]): Promise<void> {
  const { complete } = await import('./commands/completion/complete.ts')
  await load(words.slice(0, -1)).catch(() => undefined)
  await complete(words, program)
}

async function main(words: string[]): Promise<void> {
  try {
    removeForeignDotenv(process.env)
    // Whatever it is set to: what is made its owner can use, and no one else can write.
    process.umask((process.umask() | 0o022) & ~0o700)
    // What the scripts of `ch202 completion` ask at each Tab; a word of theirs is no command of ours.
    if (words[0] === 'complete' && words[1] === '--') return await completeWords(words.slice(2))
    await load(words)
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version are no errors; everything else of commander's is a wrong use.
      const fine = error.exitCode === 0 || error.code === 'commander.help'
      // It has said so on standard error already; a program reads standard output.
      if (!fine && outputOf(words).startsWith('json')) printFailure(usage(wrongUse(error.message)), outputOf(words))
      process.exitCode = fine ? EXIT.done : EXIT.usage
      return
    }
    process.exitCode = printFailure(error, outputOf(words))
  }
}

handleBrokenPipe()

// Without a top-level await: a bundle with bytecode does not take one.
void main(process.argv.slice(2))
