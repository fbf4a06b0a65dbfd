import { Command } from 'commander'
import { Api } from './client/api.ts'
import { type Connection, connect } from './client/connection.ts'
import type { Environment } from './client/settings.ts'
import { usage } from './exit.ts'
import { type Output, Printer } from './terminal/output.ts'
import { terminalEnvironment } from './terminal/terminal.ts'

/** The options that every command takes. */
export interface Globals {
  output: Output
  fields?: string
  bom?: boolean
  /** Of the commands that have a form of their own. */
  format?: string
  url?: string
  yes?: boolean
  quiet?: boolean
  debug?: boolean
  wide?: boolean
  color: boolean
}

/** What a command is given to do its work with. */
export class Tool {
  readonly out: Printer
  readonly env: Environment
  private connecting: Promise<Connection> | undefined
  private calling: Promise<Api> | undefined

  constructor(readonly globals: Globals) {
    const { bom = false, color, fields, format, output, quiet = false, wide = false } = globals
    if (bom && output !== 'csv' && format !== 'csv') throw usage('--bom is for CSV: give -o csv')
    this.env = terminalEnvironment(process.env, color)
    const named = fields?.split(',').map((name) => name.trim())
    this.out = new Printer({ output, fields: named?.filter(Boolean), color, quiet, bom, wide })
  }

  /** Whom it talks to, and as whom. */
  connection(): Promise<Connection> {
    this.connecting ??= connect(this.globals.url, this.env)
    return this.connecting
  }

  /** The services, as an operator. */
  api(): Promise<Api> {
    this.calling ??= this.connection().then((connection) => new Api(connection, this.globals.debug ?? false))
    return this.calling
  }
}

/** A word that others stand behind, such as `users`. */
export function group(name: string, description: string): Command {
  return new Command(name).description(description)
}

/**
 * A command that does something.
 * @param usage its name and arguments, such as `get <ref>`
 * @param examples at least two lines as they are typed; the tests run them
 */
export function addCommand(
  parent: Command,
  usage: string,
  description: string,
  examples: readonly [string, string, ...string[]],
): Command {
  return documented(parent.command(usage), description, examples)
}

/** A leaf that stands alone, such as `version`. */
export function command(usage: string, description: string, examples: readonly [string, string, ...string[]]): Command {
  return documented(new Command().command(usage), description, examples)
}

function documented(command: Command, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`).join('\n')
  return command.description(description).addHelpText('after', `\nExamples:\n${lines}`)
}

/** Commander's call of an action, as ours: what it works with, its options, its arguments. */
export function withTool<Options, Arguments extends unknown[]>(
  work: (tool: Tool, options: Options, ...words: Arguments) => Promise<void>,
) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command
    const tool = new Tool(command.optsWithGlobals<Globals>())
    await work(tool, given.at(-2) as Options, ...(given.slice(0, -2) as Arguments))
  }
}

/** For an option that may be given again. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** As `collect`, for names: several may stand between commas. */
export function collectNames(value: string, before: string[] = []): string[] {
  return [...before, ...value.split(',').map((name) => name.trim())]
}
