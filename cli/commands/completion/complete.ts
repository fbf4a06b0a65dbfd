import type { Argument, Command, Option } from 'commander'
import { plain } from '../../terminal/terminal.ts'
import { type Candidate, type CompletionInput, FILES, sourceOfArgument, sourceOfOption } from './values.ts'

/** Directives for the shell: offer no files, or files too (the numbers of cobra and @bomb.sh/tab). */
const NO_FILES = 4
const ALSO_FILES = 0
/** Milliseconds to wait for values, since a person is waiting. */
const TIMEOUT = 300

/** The position on the command line that is completed. */
interface Position {
  command: Command
  /** The option whose value is expected next. */
  awaiting: Option | undefined
  /** Number of arguments before the position. */
  arguments: number
  options: Map<string, string>
  /** After `--` nothing is an option. */
  ended: boolean
}

/**
 * Prints the completions of a word, one per line with its description, then a directive for the shell. Errors are
 * silent, since they would appear in the middle of the command line.
 * @param words the words after `ch202` up to the one to complete, which may be empty
 * @param program the program with the commands that the words name
 */
export async function complete(words: readonly string[], program: Command): Promise<void> {
  const word = words.at(-1) ?? ''
  const position = positionOf(program, words.slice(0, -1))
  const timeout = Bun.sleep(TIMEOUT).then((): Candidate[] => [])
  const result = await Promise.race([candidates(position, word), timeout]).catch((): Candidate[] => [])
  const matches = result === FILES ? [] : result.filter(({ value }) => value.startsWith(word))
  const lines = matches.map(({ description = '', value }) => `${plain(value)}\t${plain(description)}\n`)
  const text = `${lines.join('')}:${result === FILES ? ALSO_FILES : NO_FILES}\n`
  // A pending request must not keep the shell waiting.
  process.stdout.write(text, () => process.exit())
}

function positionOf(program: Command, words: readonly string[]): Position {
  const position: Position = { command: program, awaiting: undefined, arguments: 0, options: new Map(), ended: false }
  for (const word of words) {
    const child = position.arguments === 0 ? position.command.commands.find((one) => one.name() === word) : undefined
    if (position.awaiting) {
      position.options.set(position.awaiting.attributeName(), word)
      position.awaiting = undefined
    } else if (!position.ended && word === '--') position.ended = true
    else if (!position.ended && /^-./.test(word)) takeOption(position, word)
    else if (child) position.command = child
    else position.arguments++
  }
  return position
}

function takeOption(position: Position, word: string): void {
  const [, flag = word, value] = /^(--[^=]+)=(.*)$/.exec(word) ?? /^(-[^-])(.+)$/.exec(word) ?? []
  const option = optionsOf(position.command).find(({ long, short }) => long === flag || short === flag)
  if (!option || option.isBoolean()) return
  if (value === undefined) position.awaiting = option
  else position.options.set(option.attributeName(), value)
}

/** The options of a command and of its parents. */
function optionsOf(command: Command): Option[] {
  const options = command.options.filter(({ hidden }) => !hidden)
  return command.parent ? [...options, ...optionsOf(command.parent)] : options
}

async function candidates(position: Position, word: string): Promise<readonly Candidate[] | typeof FILES> {
  const { awaiting, command, ended } = position
  if (awaiting) return await valuesOfOption(awaiting, position, word)
  const [, flag, prefix] = /^(--[^=]+=)(.*)$/.exec(word) ?? []
  if (!ended && flag !== undefined && prefix !== undefined) {
    const option = optionsOf(command).find(({ long }) => `${long}=` === flag)
    const values = option ? await valuesOfOption(option, position, prefix) : []
    return values === FILES ? FILES : values.map((one) => ({ ...one, value: `${flag}${one.value}` }))
  }
  if (!ended && word.startsWith('-'))
    return optionsOf(command).map(({ description, long, short }) => ({ value: long ?? short ?? '', description }))
  if (command.commands.length > 0) {
    const commands = position.arguments > 0 ? [] : command.commands
    return commands.map((one) => ({ value: one.name(), description: one.description() }))
  }
  const argument = command.registeredArguments[position.arguments] ?? command.registeredArguments.findLast(isVariadic)
  return argument ? await valuesOfArgument(argument, position, word) : []
}

function isVariadic({ variadic }: Argument): boolean {
  return variadic
}

async function valuesOfOption(option: Option, position: Position, word: string) {
  const source = choices(option.argChoices) ?? sourceOfOption(option)
  return typeof source === 'function' ? await source(completionInput(position, word)) : source
}

async function valuesOfArgument(argument: Argument, position: Position, word: string) {
  const source = choices(argument.argChoices) ?? sourceOfArgument(pathOf(position.command), argument.name())
  return typeof source === 'function' ? await source(completionInput(position, word)) : source
}

function choices(values: readonly string[] | undefined): Candidate[] | undefined {
  return values?.map((value) => ({ value }))
}

function completionInput({ options }: Position, word: string): CompletionInput {
  return { word, options, env: process.env, signal: AbortSignal.timeout(TIMEOUT) }
}

/** The command's words, such as `users get`. */
function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}`.trim() : ''
}
