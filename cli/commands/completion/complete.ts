import type { Argument, Command, Option } from 'commander'
import { plain } from '../../terminal/terminal.ts'
import { type Candidate, FILES, sourceOfArgument, sourceOfOption, type Wanted } from './values.ts'

/** Of what the shell does besides: nothing, or offer files (the numbers are those of cobra and @bomb.sh/tab). */
const NO_FILES = 4
const ALSO_FILES = 0
/** A key was pressed and someone waits: what is not there by then is not offered. */
const PATIENCE = 300

/** Where on the line the word is that is to be completed. */
interface Place {
  command: Command
  /** The option whose value comes next. */
  awaiting: Option | undefined
  /** How many arguments stand before. */
  arguments: number
  options: Map<string, string>
  /** After `--` nothing is an option. */
  ended: boolean
}

/**
 * Writes what a word may become, a line each with its description, then what the shell does besides: what the scripts of
 * `ch202 completion` read. It is never the place to tell that something fails.
 * @param words all after `ch202`, up to the one that is to be completed, which may be empty
 * @param program with the commands that the words name
 */
export async function complete(words: readonly string[], program: Command): Promise<void> {
  const word = words.at(-1) ?? ''
  const place = placeOf(program, words.slice(0, -1))
  const late = Bun.sleep(PATIENCE).then((): Candidate[] => [])
  const asked = await Promise.race([candidates(place, word), late]).catch((): Candidate[] => [])
  const offered = asked === FILES ? [] : asked.filter(({ value }) => value.startsWith(word))
  const lines = offered.map(({ description = '', value }) => `${plain(value)}\t${plain(description)}\n`)
  const text = `${lines.join('')}:${asked === FILES ? ALSO_FILES : NO_FILES}\n`
  // An answer that is still awaited must not keep the shell.
  process.stdout.write(text, () => process.exit())
}

function placeOf(program: Command, words: readonly string[]): Place {
  const place: Place = { command: program, awaiting: undefined, arguments: 0, options: new Map(), ended: false }
  for (const word of words) {
    const child = place.arguments === 0 ? place.command.commands.find((one) => one.name() === word) : undefined
    if (place.awaiting) {
      place.options.set(place.awaiting.attributeName(), word)
      place.awaiting = undefined
    } else if (!place.ended && word === '--') place.ended = true
    else if (!place.ended && /^-./.test(word)) takeOption(place, word)
    else if (child) place.command = child
    else place.arguments++
  }
  return place
}

function takeOption(place: Place, word: string): void {
  const [, flag = word, value] = /^(--[^=]+)=(.*)$/.exec(word) ?? /^(-[^-])(.+)$/.exec(word) ?? []
  const option = optionsOf(place.command).find(({ long, short }) => long === flag || short === flag)
  if (!option || option.isBoolean()) return
  if (value === undefined) place.awaiting = option
  else place.options.set(option.attributeName(), value)
}

/** Those of the command, and those that every command takes. */
function optionsOf(command: Command): Option[] {
  const own = command.options.filter(({ hidden }) => !hidden)
  return command.parent ? [...own, ...optionsOf(command.parent)] : own
}

async function candidates(place: Place, word: string): Promise<readonly Candidate[] | typeof FILES> {
  const { awaiting, command, ended } = place
  if (awaiting) return await valuesOfOption(awaiting, place, word)
  const [, flag, begun] = /^(--[^=]+=)(.*)$/.exec(word) ?? []
  if (!ended && flag !== undefined && begun !== undefined) {
    const option = optionsOf(command).find(({ long }) => `${long}=` === flag)
    const values = option ? await valuesOfOption(option, place, begun) : []
    return values === FILES ? FILES : values.map((one) => ({ ...one, value: `${flag}${one.value}` }))
  }
  if (!ended && word.startsWith('-'))
    return optionsOf(command).map(({ description, long, short }) => ({ value: long ?? short ?? '', description }))
  if (command.commands.length > 0) {
    const named = place.arguments > 0 ? [] : command.commands
    return named.map((one) => ({ value: one.name(), description: one.description() }))
  }
  const argument = command.registeredArguments[place.arguments] ?? command.registeredArguments.findLast(isVariadic)
  return argument ? await valuesOfArgument(argument, place, word) : []
}

function isVariadic({ variadic }: Argument): boolean {
  return variadic
}

async function valuesOfOption(option: Option, place: Place, word: string) {
  const source = choices(option.argChoices) ?? sourceOfOption(option)
  return typeof source === 'function' ? await source(wanted(place, word)) : source
}

async function valuesOfArgument(argument: Argument, place: Place, word: string) {
  const source = choices(argument.argChoices) ?? sourceOfArgument(pathOf(place.command), argument.name())
  return typeof source === 'function' ? await source(wanted(place, word)) : source
}

function choices(known: readonly string[] | undefined): Candidate[] | undefined {
  return known?.map((value) => ({ value }))
}

function wanted({ options }: Place, word: string): Wanted {
  return { word, options, env: process.env, signal: AbortSignal.timeout(PATIENCE) }
}

/** `users get`. */
function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}`.trim() : ''
}
