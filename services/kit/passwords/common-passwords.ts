import { readFileSync } from 'node:fs'
import latin from './common-passwords.txt' with { type: 'file' }
import russian from './common-passwords-ru.txt' with { type: 'file' }

/** The letter keys of a Russian keyboard, without and with Shift. If a letter is on two keys, the first one counts. */
const LATIN_KEYS = 'qwertyuiop[]asdfghjkl;\'zxcvbnm,.`{}:"<>~'
const RUSSIAN_KEYS = 'йцукенгшщзхъфывапролджэячсмитьбюехъжэбюе'
/** The keys that have different signs on the two keyboards. */
const LATIN_SIGNS = '@#$^&/?'
const RUSSIAN_SIGNS = '"№;:?.,'

const TO_RUSSIAN = keyboardMap(LATIN_KEYS, RUSSIAN_KEYS)
const TO_LATIN = keyboardMap(RUSSIAN_KEYS + RUSSIAN_SIGNS, LATIN_KEYS + LATIN_SIGNS)

/** Rows of keys and the alphabet. A part of one, in either direction, is a weak password. */
const WALKS = ['йцукенгшщзхъ', 'фывапролджэ', 'ячсмитьбю', 'абвгдежзийклмнопрстуфхцчшщъыьэюя'].flatMap((walk) => [
  walk,
  [...walk].reverse().join(''),
])
/** Characters of the shortest part of a walk that counts. */
const WALK_LEAST = 4
/** Characters of the longest password of one repeated letter that counts as common. */
const REPEATED_MOST = 12
/** Letters of the shortest word that counts. */
const WORD_LEAST = 3

/** Digits of a date: day, month and year, or year, month and day. */
const DATE =
  /^(?:(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])(?:19|20)?\d\d|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))$/
/** The characters that people put before or after a word: a number with a few signs around it. */
const DECORATION = /^[\p{P}\p{S} ]{0,3}(\d*)[\p{P}\p{S} ]{0,3}$/u
const BETWEEN_DIGITS = /(?<=\d)[./-](?=\d)/g
/** Digits around a word that may be any number. Longer ones must be a date or on the list. */
const PLAIN_DIGITS = 4

/**
 * The lists in memory, by their paths. Each has one password a line, in lower case, with `е` for `ё`. The imports above
 * are paths, also in the executable: imported as texts, the lists would cost each start six megabytes. The Russian list
 * is written by hand: names, words and phrases that people choose, also those that the Latin list has as Russian words
 * typed on a Latin keyboard (`gfhjkm`). Numbers, keyboard walks and repeated words are left to the rules below.
 */
const lists = new Map<string, Buffer>()

/**
 * Whether a password is one that attackers try first:
 * - it is on a list, in upper or lower case;
 * - it is on a list when typed with the other keyboard layout, Latin or Russian (`gfhjkm`, `зфыыцщкв`);
 * - it is a common Russian word with a number, a date or a few signs around it (`Любовь2024`), the same word repeated, or
 *   a walk over the Russian keyboard. The Latin list contains its words with the numbers that people add.
 *
 * A longer phrase is fine even if it contains a common word.
 * @param password in NFC
 */
export function isCommonPassword(password: string): boolean {
  const text = password.toLowerCase().replaceAll('ё', 'е')
  const isRussian = /\p{Script=Cyrillic}/u.test(text)
  const isLatin = /\p{Script=Latin}/u.test(text)
  if (isListed(latin, text) || isListed(russian, text)) return true
  if (isRussian && isLatin) return isDecorated(onRussianKeys(text), isTypedInRussian)
  if (isRussian) return isListed(latin, onLatinKeys(text)) || isDecorated(text, isTypedInRussian)
  // A sign at either end may be a letter on the other keyboard, or just a sign.
  const [lead = '', core = '', tail = ''] = /^([^a-z]*)(.*?)([^a-z]*)$/s.exec(text)?.slice(1) ?? []
  return [onRussianKeys(text), lead + onRussianKeys(core) + tail].some((text) => isDecorated(text, isRussianWord))
}

/** Retypes a text with the same keys of a Latin keyboard. @param text in Russian, lower case, with `е` for `ё` */
export function onLatinKeys(text: string): string {
  return retype(text, TO_LATIN)
}

function onRussianKeys(text: string): string {
  return retype(text, TO_RUSSIAN)
}

function retype(text: string, keyboard: ReadonlyMap<string, string>): string {
  return [...text].map((letter) => keyboard.get(letter) ?? letter).join('')
}

/** Maps each sign of one keyboard to that of the same key on another. If a sign is on two keys, the first counts. */
function keyboardMap(from: string, to: string): ReadonlyMap<string, string> {
  const pairs = [...from].map((sign, index): [string, string] => [sign, to.charAt(index)])
  return new Map(pairs.reverse())
}

/** Whether a text is a word, also of several parts, with only a number, a date or a few signs around it. */
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
  const isOneLetter = parts.at(-1)?.length === 1 && word.length <= REPEATED_MOST
  return isOneLetter || parts.some((part) => part.length >= WALK_LEAST && WALKS.some((walk) => walk.includes(part)))
}

/** Every text that, repeated, gives the word; the longest (the word itself) first. */
function repeatedParts(word: string): string[] {
  const lengths = Array.from(word, (_, index) => word.length - index).filter((length) => word.length % length === 0)
  return lengths
    .map((length) => word.slice(0, length))
    .filter((part) => part.repeat(word.length / part.length) === word)
}

function isListed(path: string, password: string): boolean {
  const list = lists.get(path) ?? Buffer.concat([Buffer.from('\n'), readFileSync(path)])
  lists.set(path, list)
  return password !== '' && !password.includes('\n') && list.includes(`\n${password}\n`)
}
