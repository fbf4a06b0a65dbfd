import { Command } from 'commander'
import { Api } from '../client/api.ts'
import { type Connection, connect } from '../client/connection.ts'
import type { Environment } from '../client/settings.ts'
import { usage } from '../exit.ts'
import { askCodeBeside } from '../terminal/codes.ts'
import type { Output } from '../terminal/formats.ts'
import { Printer } from '../terminal/output.ts'
import { askPasswordBeside } from '../terminal/passwords.ts'
import { canAskBeside, terminalEnvironment } from '../terminal/terminal.ts'

/** The options that every command takes. */
export interface Globals {
  output: Output
  fields?: string
  bom?: boolean
  /** Only for commands with a `--format` of their own. */
  format?: string
  url?: string
  yes?: boolean
  quiet?: boolean
  debug?: boolean
  wide?: boolean
  color: boolean
}

/** Everything that a command works with: options, environment, printer and, once needed, the connection. */
export class Tool {
  readonly out: Printer
  readonly env: Environment
  private connecting: Promise<Connection> | undefined
  private creatingApi: Promise<Api> | undefined

  /** @param isFormNamed whether `-o` was given */
  constructor(
    readonly globals: Globals,
    isFormNamed = false,
  ) {
    const { bom = false, color, fields, format, output, quiet = false, wide = false } = globals
    if (bom && output !== 'csv' && format !== 'csv') throw usage('--bom requires -o csv')
    this.env = terminalEnvironment(process.env, color)
    const fieldNames = fields?.split(',').map((name) => name.trim())
    const chosen = isFormNamed || fieldNames !== undefined
    this.out = new Printer({ output, fields: fieldNames?.filter(Boolean), color, quiet, chosen, bom, wide })
  }

  /** The services' addresses and the credential to use. */
  connection(): Promise<Connection> {
    this.connecting ??= connect(this.globals.url, this.env)
    return this.connecting
  }

  /** The API client of the services, with the operator's credential. */
  api(): Promise<Api> {
    const { debug = false } = this.globals
    const ask = canAskBeside() ? { password: askPasswordBeside, code: askCodeBeside } : undefined
    this.creatingApi ??= this.connection().then((connection) => new Api(connection, debug, this.env, ask))
    return this.creatingApi
  }
}

/** Creates a command group, such as `users`. */
export function group(name: string, description: string): Command {
  return new Command(name).description(description)
}

/**
 * Adds a command to a group.
 * @param usage its name and arguments, such as `get <ref>`
 * @param examples at least two command lines; the tests run them
 */
export function addCommand(
  parent: Command,
  usage: string,
  description: string,
  examples: readonly [string, string, ...string[]],
): Command {
  return documented(parent.command(usage), description, examples)
}

/** Creates a command outside any group, such as `version`. Parameters as for `addCommand`. */
export function command(usage: string, description: string, examples: readonly [string, string, ...string[]]): Command {
  return documented(new Command().command(usage), description, examples)
}

function documented(command: Command, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`).join('\n')
  return command.description(description).addHelpText('after', `\nExamples:\n${lines}`)
}

/** Adapts an action to commander, which passes the arguments, then the options, then the command. */
export function withTool<Options, Arguments extends unknown[]>(
  action: (tool: Tool, options: Options, ...words: Arguments) => Promise<void>,
) {
  return async (...parameters: unknown[]): Promise<void> => {
    const command = parameters.at(-1) as Command
    const isFormNamed = command.getOptionValueSourceWithGlobals('output') === 'cli'
    const tool = new Tool(command.optsWithGlobals<Globals>(), isFormNamed)
    await action(tool, parameters.at(-2) as Options, ...(parameters.slice(0, -2) as Arguments))
  }
}

/** Parses an option that can be repeated. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** Parses an option that can be repeated and that can have several names separated by commas. */
export function collectNames(value: string, before: string[] = []): string[] {
  return [...before, ...value.split(',').map((name) => name.trim())]
}
