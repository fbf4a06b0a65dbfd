#!/usr/bin/env bun
import { Command, CommanderError, Option } from 'commander'
import { version } from '../package.json'
import { EXIT, usage } from './exit.ts'
import { OUTPUTS, type Output, tell, write } from './io.ts'

const program = new Command('ch202')
  .description('Runs and operates Ch202: users, logins and feature modules')
  .addOption(new Option('-o, --output <form>', 'the form of what is printed').choices(OUTPUTS).default('table'))
  .exitOverride()
  .showHelpAfterError('(ch202 --help shows how)')

program
  .command('start')
  .description('Run every service of the Procfile, each in a process of its own')
  .option('--only <names>', 'only these, separated by commas')
  .addHelpText('after', examples('ch202 start', 'ch202 start --only auth,users'))
  .action(async (options: { only?: string }) => {
    const { startCommand } = await import('./commands/start.ts')
    await startCommand(options)
  })

program
  .command('serve')
  .description('Run all services, or those named, in this one process')
  .argument('[services...]', 'auth, users, modules')
  .addHelpText('after', examples('ch202 serve', 'ch202 serve auth'))
  .action(async (names: string[]) => {
    const { serveCommand } = await import('./commands/serve.ts')
    await serveCommand(names)
  })

program
  .command('migrate')
  .description('Bring every database up to date')
  .option('--plan', 'only say what would be done')
  .addHelpText('after', examples('ch202 migrate --plan', 'ch202 migrate'))
  .action(async (options: { plan?: boolean }, command: Command) => {
    const { migrateCommand } = await import('./commands/serve.ts')
    await migrateCommand(options, command.optsWithGlobals<{ output: Output }>().output)
  })

program
  .command('version')
  .description('Print the version')
  .addHelpText('after', examples('ch202 version', 'ch202 version -o json'))
  .action((_options: object, command: Command) => {
    const { output } = command.optsWithGlobals<{ output: Output }>()
    write(output.startsWith('json') ? JSON.stringify({ version }) : version)
  })

program
  .command('openapi')
  .description('Print the OpenAPI document of all three services')
  .addHelpText('after', examples('ch202 openapi > openapi.json', 'ch202 openapi | head -c 200'))
  .action(async () => {
    const { documentation } = await import('../services/documentation.ts')
    write(JSON.stringify(documentation(version), null, 2))
  })

/** Commands with a good deal behind them are loaded when they are called. */
const nouns: Record<string, () => Promise<Command>> = {
  users: async () => (await import('./commands/users.ts')).usersCommand(),
}

function examples(...commands: string[]): string {
  return `\nExamples:\n${commands.map((command) => `  $ ${command}`).join('\n')}`
}

/** Before or without commander, which may be what fails: `-o json`, `-ojson`, `--output json`, `--output=json`. */
function outputOf(words: readonly string[]): Output {
  const at = words.findIndex((word) => /^(-o|--output$|--output=)/.test(word))
  const form = words[at]?.replace(/^(-o|--output=?)/, '') || words[at + 1]
  return OUTPUTS.find((known) => at >= 0 && known === form) ?? 'table'
}

async function main(words: string[]): Promise<void> {
  try {
    const wantsAll = words.length === 0 || words.some((word) => ['help', '-h', '--help'].includes(word))
    for (const [noun, load] of Object.entries(nouns))
      if (wantsAll || words.includes(noun)) program.addCommand(inherit(await load()))
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

function inherit(command: Command): Command {
  command.copyInheritedSettings(program)
  for (const child of command.commands) inherit(child)
  return command
}

// A reader that has seen enough (`| head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done)
  throw error
})

// Without a top-level await: a bundle with bytecode does not take one.
void main(process.argv.slice(2))
