import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { invalid } from '../problem.ts'
import { passwordErrors } from './policy.ts'

const MOST_USED = readFileSync(join(import.meta.dir, 'common-passwords.txt'), 'utf8')
  .split('\n')
  .slice(0, 10_000)
const RUSSIAN = readFileSync(join(import.meta.dir, 'common-passwords-ru.txt'), 'utf8')
  .trimEnd()
  .split('\n')
const TOO_EASY = 'The password is too easy to guess: '

function refusal(password: string, names: (string | null)[] = [], least = 8): string | undefined {
  const errors = passwordErrors('password', password, least, names)
  if (errors.length === 0) return undefined
  const { code, publicMessage } = invalid(errors)
  return code === 'weak_password' ? String(publicMessage).replace(TOO_EASY, '') : code
}

/** The first passwords of the lists that are published every year, except those that are too short here. */
const PUBLISHED =
  `12345678 123456789 password 1234567890 Pass@123 admin123 12345678910 P@ssw0rd Password Aa@123456 admintelecom
  Admin@123 abcd1234 qwerty123 Abcd@1234 Pass@1234 11223344 87654321 987654321 123123123 1q2w3e4r Aa112233 12341234 qwertyuiop
  11111111 Password@123 1q2w3e4r5t admin1234 asdf1234 Welcome@123 Password1 123456789a administrator 1122334455 Test@123 qwer1234
  asdfghjkl 1qaz2wsx 88888888 12121212 password123 1111111111 q1w2e3r4 baseball football superman trustno1 iloveyou sunshine
  princess passw0rd starwars whatever jennifer michelle computer corvette mercedes midnight qazwsxedc letmein1 zaq12wsx`.split(
    /\s+/,
  )

describe('check 3: a common password', () => {
  test('each of the 10,000 most used passwords, in lower and upper case', () => {
    expect(new Set(MOST_USED).size).toBe(10_000)
    const reasons = new Set(MOST_USED.flatMap((one) => [refusal(one, [], 1), refusal(one.toUpperCase(), [], 1)]))
    expect([...reasons]).toEqual(['it is one of the most used passwords'])
    // None is accepted with the minimum length of the settings either.
    expect(MOST_USED.filter((one) => refusal(one) === undefined)).toEqual([])
  })

  test('each of the first passwords of published lists', () => {
    expect(PUBLISHED.length).toBeGreaterThan(60)
    expect(PUBLISHED.filter((one) => !refusal(one)?.startsWith('it is '))).toEqual([])
  })

  const names = ['Ana.Lovelace@example.org', 'ana_lovelace', 'Ana María Lovelace']
  test.each<[string, string | undefined]>([
    ['password!', 'it is one of the most used passwords'],
    ['77777777', 'it is one of the most used passwords'],
    ['XYZxyzXYZ', 'it is one of the most used passwords'],
    ['98765432', 'it is one of the most used passwords'],
    ['hijklmnop', 'it is one of the most used passwords'],
    ['pass-word-1', undefined],
    ['one\ttwo\nthree', undefined],
    // Two neighbours of the list.
    ['12345678\nqwerty', undefined],
    ['ch202!2026', 'it is the name of this service'],
    ['CH202...', 'it is the name of this service'],
    ['ana.lovelace@EXAMPLE.org', 'it is your own email or name'],
    ['Ana.Lovelace', 'it is your own email or name'],
    ['ANA_LOVELACE', 'it is your own email or name'],
    ['ana maría lovelace', 'it is your own email or name'],
    ['ana maría lovelace of old', undefined],
    ['correct horse battery', undefined],
    ['pass#%-word!+1', undefined],
    ['one two three', undefined],
    ['zqzqzqxz', undefined],
    ['x'.repeat(16), undefined],
    ['x!'.repeat(128), undefined],
    ['x'.repeat(257), 'validation_failed'],
    ['sh0rt!!', 'validation_failed'],
  ])('%s: %s', (password, reason) => {
    expect(refusal(password, names)).toBe(reason)
  })

  test('an account without a username and a name has nothing to compare with', () => {
    expect(refusal('ana maría lovelace', ['a@example.org', null, '', null])).toBeUndefined()
  })
})

describe('check 3, R28: a common password, typed on a Russian keyboard or meant for one', () => {
  const COMMON = 'it is one of the most used passwords'
  /** The key of a Latin keyboard that each Russian letter is on. */
  const KEYS = new Map(
    [...'йцукенгшщзхъфывапролджэячсмитьбюё'].map((letter, at) => [letter, "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"[at]]),
  )
  const onLatinKeys = (text: string) => [...text].map((letter) => KEYS.get(letter) ?? letter).join('')

  test('each word of the Russian list: unchanged, with a year, in upper case, and typed on Latin keys', () => {
    expect(RUSSIAN.length).toBeGreaterThan(2000)
    expect(RUSSIAN.filter((word) => !/^[а-я]{3,}$/.test(word))).toEqual([])
    expect(RUSSIAN).toEqual([...new Set(RUSSIAN)].sort())
    for (const form of [
      (word: string) => word,
      (word: string) => word.toUpperCase(),
      (word: string) => `${word}2024`,
      (word: string) => `${word}${word}`,
      (word: string) => `${onLatinKeys(word)}123`,
      (word: string) => onLatinKeys(word),
    ])
      expect(RUSSIAN.filter((word) => refusal(form(word), [], 1) !== COMMON)).toEqual([])
  })

  test('each of the most used passwords, typed with a Russian layout', () => {
    const letters = new Map([...KEYS].map(([letter, key]) => [key, letter]))
    const typed = MOST_USED.filter((one) => /^[a-z][a-z\d]*$/.test(one)).map((one) =>
      [...one].map((key) => letters.get(key) ?? key).join(''),
    )
    expect(typed.length).toBeGreaterThan(8000)
    expect(typed.filter((one) => refusal(one, [], 1) !== COMMON)).toEqual([])
  })

  test.each([
    'пароль123',
    'Пароль_2024',
    'ПАРОЛЬ!!!',
    '123пароль',
    '!пароль!',
    'йцукенгшщз',
    'йцукен123456',
    'фывапролдж',
    'эждлорпавыф',
    'абвгдежз',
    'ааааааааа',
    '1й2ц3у4к',
    'йфяцычувс',
    'Любовь2024',
    'k.,jdm2024',
    'K.,jdm2024!',
    'Наташа1990',
    'Максим31121990',
    'Максим1990-12-31',
    'Ежик2024',
    'ёжик2024',
    'Пётр1985',
    'Пётр1985'.normalize('NFC'),
    'gfhjkm123',
    'Gfhjkm2024!',
    'gfhjkmgfhjkm',
    'gfhjkmпароль',
    'qwertyйцукен',
    'ghbdtnvbh',
    ';tymrf1990',
    'зфыыцщкв',
    'ЗФЫЫЦЩКВ',
    'зфыыцщкв2024',
    'З"ыыц0кв',
    'шдщмунщг',
    'ялюблютебя',
    'я люблю тебя',
    'привет-мир',
    'Мастер и Маргарита',
  ])('%s is refused', (password) => {
    expect(refusal(password)).toBe(COMMON)
  })

  test.each([
    'пароль от моего сейфа 7',
    'правильная лошадь батарея скрепка',
    'кофе на балконе в шесть',
    'я люблю тебя мама 2024',
    'любовь и голуби 1984',
    'наташа и сергей',
    'любовьморковь8кг',
    'пароль84736251',
    'Ананас-84736251',
    'щука-7-лебедь-рак',
    'ghbdtn pfxtv ns pltcm',
    'password от яндекса',
    'ж'.repeat(200),
    'dragon-castle',
    'qwerty horse',
    'Τοκλειδίμου9',
    'გამარჯობათამარ',
    '李小龍漢字王明密碼',
    '🐴🔋📎🐴🔋📎🐴🔋',
  ])('%s is accepted', (password) => {
    expect(refusal(password)).toBeUndefined()
  })

  test.each([
    ['ср202!2026', 'it is the name of this service'],
    ['ПЕТР ЕЛКИН', 'it is your own email or name'],
    ['пётр ёлкин', 'it is your own email or name'],
  ])('%s: %s', (password, reason) => {
    expect(refusal(password, ['a@example.org', null, 'Пётр Ёлкин'])).toBe(reason)
  })
})
