import { readFileSync } from 'node:fs'
import latin from './common-passwords.txt' with { type: 'file' }
import russian from './common-passwords-ru.txt' with { type: 'file' }

/** The keys that bear letters on a Russian keyboard, without and with Shift. Of a letter with two keys the first is meant. */
const LATIN_KEYS = 'qwertyuiop[]asdfghjkl;\'zxcvbnm,.`{}:"<>~'
const RUSSIAN_KEYS = 'йцукенгшщзхъфывапролджэячсмитьбюехъжэбюе'
/** Those that bear other signs on each. */
const LATIN_SIGNS = '@#$^&/?'
const RUSSIAN_SIGNS = '"№;:?.,'

const TO_RUSSIAN = keys(LATIN_KEYS, RUSSIAN_KEYS)
const TO_LATIN = keys(RUSSIAN_KEYS + RUSSIAN_SIGNS, LATIN_KEYS + LATIN_SIGNS)

/** Rows of keys and the alphabet: what lies side by side on them is no password. */
const WALKS = ['йцукенгшщзхъ', 'фывапролджэ', 'ячсмитьбю', 'абвгдежзийклмнопрстуфхцчшщъыьэюя'].flatMap((walk) => [
  walk,
  [...walk].reverse().join(''),
])
const WALK_LEAST = 4
/** Times that one letter is repeated in what people type when they have to type something. */
const REPEATED_MOST = 12
const WORD_LEAST = 3

/** A day, month and year in digits, or a year, month and day. */
const DATE =
  /^(?:(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])(?:19|20)?\d\d|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))$/
const DECORATION = /^[\p{P}\p{S} ]{0,3}(\d*)[\p{P}\p{S} ]{0,3}$/u
const BETWEEN_DIGITS = /(?<=\d)[./-](?=\d)/g
const PLAIN_DIGITS = 4

/**
 * A password a line, in small letters, `е` for `ё`. What is imported is their paths, also within the compiled program: as
 * texts they cost every start six megabytes. The Russian list is made by hand: names, words and phrases that people
 * choose, among them those of the Latin list that were meant to be Russian (`gfhjkm`); without numbers, walks over the
 * keyboard and words that are repeated, for which there are rules.
 */
const lists = new Map<string, Buffer>()

/**
 * Whether a password is one of those that everyone tries first:
 * - it is on a list, in any case;
 * - it would be if the other of a Latin and a Russian keyboard had been on when it was typed (`gfhjkm`, `зфыыцщкв`);
 * - it is a common Russian word with a number, a date or a few signs around it (`Любовь2024`), the same word twice, or a
 *   walk over the Russian keyboard. Of Latin words the list has those with numbers that are used.
 *
 * A phrase is common as a whole or not at all: a common word in it does no harm.
 * @param password in NFC
 */
export function isCommonPassword(password: string): boolean {
  const text = password.toLowerCase().replaceAll('ё', 'е')
  const isRussian = /\p{Script=Cyrillic}/u.test(text)
  const isLatin = /\p{Script=Latin}/u.test(text)
  if (isListed(latin, text) || isListed(russian, text)) return true
  if (isRussian && isLatin) return isDecorated(onRussianKeys(text), isTypedInRussian)
  if (isRussian) return isListed(latin, onLatinKeys(text)) || isDecorated(text, isTypedInRussian)
  // A sign at an end may be a letter on the other keyboard, or a sign.
  const [lead = '', core = '', tail = ''] = /^([^a-z]*)(.*?)([^a-z]*)$/s.exec(text)?.slice(1) ?? []
  return [onRussianKeys(text), lead + onRussianKeys(core) + tail].some((text) => isDecorated(text, isRussianWord))
}

/** What the keys write on a Latin keyboard that wrote this on a Russian one. @param text in small letters, with `е` for `ё` */
export function onLatinKeys(text: string): string {
  return typed(text, TO_LATIN)
}

function onRussianKeys(text: string): string {
  return typed(text, TO_RUSSIAN)
}

function typed(text: string, on: ReadonlyMap<string, string>): string {
  return [...text].map((letter) => on.get(letter) ?? letter).join('')
}

function keys(from: string, to: string): ReadonlyMap<string, string> {
  const pairs = [...from].map((sign, at): [string, string] => [sign, to.charAt(at)])
  return new Map(pairs.reverse())
}

/** Whether a text is such a word, also of several parts, with nothing around it but what people put around words. */
function isDecorated(text: string, isWord: (word: string) => boolean): boolean {
  const [, lead = '', core = '', tail = ''] = /^([^а-я]*)([а-я].*[а-я])([^а-я]*)$/s.exec(text) ?? []
  const word = core.replaceAll(/[\s._-]/g, '')
  return isDecoration(lead) && isDecoration(tail) && word.length >= WORD_LEAST && /^[а-я]+$/.test(word) && isWord(word)
}

function isDecoration(text: string): boolean {
  const digits = DECORATION.exec(text.replaceAll(BETWEEN_DIGITS, ''))?.[1]
  if (digits === undefined) return false
  return digits.length <= PLAIN_DIGITS || DATE.test(digits) || isListed(latin, digits)
}

function isTypedInRussian(word: string): boolean {
  return isRussianWord(word) || isListed(latin, onLatinKeys(word)) || isWalk(word)
}

function isRussianWord(word: string): boolean {
  return repeatedParts(word).some((part) => isListed(russian, part))
}

function isWalk(word: string): boolean {
  const parts = repeatedParts(word)
  const isStroked = parts.at(-1)?.length === 1 && word.length <= REPEATED_MOST
  return isStroked || parts.some((part) => part.length >= WALK_LEAST && WALKS.some((walk) => walk.includes(part)))
}

/** All texts of which a word is a repetition, from itself down. */
function repeatedParts(word: string): string[] {
  const lengths = Array.from(word, (_, at) => word.length - at).filter((length) => word.length % length === 0)
  return lengths
    .map((length) => word.slice(0, length))
    .filter((part) => part.repeat(word.length / part.length) === word)
}

function isListed(path: string, password: string): boolean {
  const list = lists.get(path) ?? Buffer.concat([Buffer.from('\n'), readFileSync(path)])
  lists.set(path, list)
  return password !== '' && !password.includes('\n') && list.includes(`\n${password}\n`)
}
