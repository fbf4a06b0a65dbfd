#!/usr/bin/env bun
import { Command, CommanderError, Option } from 'commander'
import { EXIT, usage } from './exit.ts'
import { OUTPUTS, type Output, tell } from './output.ts'

/** Every command, loaded when it is called: nothing else is read for `ch202 version`. */
const COMMANDS: Record<string, Record<string, () => Promise<Command>>> = {
  'Run:': {
    start: async () => (await import('./commands/start.ts')).startCommand(),
    serve: async () => (await import('./commands/serve.ts')).serveCommand(),
  },
  'Users:': {
    users: async () => (await import('./commands/users.ts')).usersCommand(),
  },
  'Data:': {
    migrate: async () => (await import('./commands/migrate.ts')).migrateCommand(),
  },
  'Meta:': {
    openapi: async () => (await import('./commands/openapi.ts')).openapiCommand(),
    version: async () => (await import('./commands/version.ts')).versionCommand(),
  },
}

const program = new Command('ch202')
  .description('Runs and operates Ch202: users, logins and feature modules')
  .addOption(new Option('-o, --output <form>', 'the form of what is printed').choices(OUTPUTS).default('table'))
  .option('--fields <names>', 'only these fields, separated by commas')
  .option('--url <address>', 'the instance to talk to')
  .option('-y, --yes', 'do what can’t be undone without asking')
  .option('-q, --quiet', 'data and errors alone')
  .option('--debug', 'say each request on standard error')
  .option('--no-color', 'no colours')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride()
  .showHelpAfterError('(ch202 --help shows how)')

/** Before or without commander, which may be what fails: `-o json`, `-ojson`, `--output json`, `--output=json`. */
function outputOf(words: readonly string[]): Output {
  const at = words.findIndex((word) => /^(-o|--output$|--output=)/.test(word))
  const form = words[at]?.replace(/^(-o|--output=?)/, '') || words[at + 1]
  return OUTPUTS.find((known) => at >= 0 && known === form) ?? 'table'
}

/** Those that the words name; all where they name none, so that the help and a misspelling find them. */
async function load(words: readonly string[]): Promise<void> {
  const all = Object.entries(COMMANDS).flatMap(([group, commands]) =>
    Object.entries(commands).map(([name, command]) => ({ group, name, command })),
  )
  const helps = words.some((word) => ['help', '-h', '--help'].includes(word))
  const named = all.filter(({ name }) => words.includes(name))
  for (const { command, group } of named.length === 0 || helps ? all : named)
    program.addCommand(inherit(await command()).helpGroup(group))
}

function inherit(command: Command): Command {
  command.copyInheritedSettings(program)
  for (const child of command.commands) inherit(child)
  return command
}

async function main(words: string[]): Promise<void> {
  try {
    await load(words)
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version are no errors; everything else of commander's is a wrong use.
      const fine = error.exitCode === 0 || error.code === 'commander.help'
      // It has said so on standard error already; a program reads standard output.
      if (!fine && outputOf(words).startsWith('json')) tell(usage(error.message), outputOf(words))
      process.exitCode = fine ? EXIT.done : EXIT.usage
      return
    }
    process.exitCode = tell(error, outputOf(words))
  }
}

// A reader that has seen enough (`| head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done)
  throw error
})

// Without a top-level await: a bundle with bytecode does not take one.
void main(process.argv.slice(2))
