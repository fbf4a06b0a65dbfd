import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { foldForSearch } from '../../services/kit/schema/search-text.ts'
import { PROMPT } from '../support/eventually.ts'
import { as, call, jsonLines } from '../support/http.ts'
import { inProcess, type System } from '../support/system.ts'

setDefaultTimeout(120_000)

/** A hash that is never used for a login. */
const HASH = `$2b$04$${'a'.repeat(53)}`
/** More users than are sorted in memory: a list by email then follows the index of the emails. */
const MANY = 2100
const SIZE_MAX = 200
/** Lines per body, so that a body stays below 1 MiB. */
const LINES = 700

interface Person {
  email: string
  username?: string
  name: string
}

const fields = new Map<Person, string[]>()
/** The fields of a person as a search sees them. */
function fieldsOf(person: Person): string[] {
  const texts = fields.get(person) ?? Object.values(person).map(foldForSearch)
  fields.set(person, texts)
  return texts
}

/** Starts a system, and imports the people. */
async function startWith(people: Person[]): Promise<System> {
  const system = await inProcess()
  for (let from = 0; from < people.length; from += LINES) {
    const lines = people.slice(from, from + LINES)
    const body = jsonLines(lines.map((person) => ({ ...person, password_hash: HASH })))
    const answer = await call(system.url.users, 'POST /api/v1/users/import', body)
    const created = answer.text.split('"status":"created"').length - 1
    if (created !== lines.length) throw new Error(`${created} of ${lines.length} were created: ${answer.status}`)
  }
  return system
}

const list = (system: System, query: Record<string, string | number>) =>
  call(system.url.users, `GET /api/v1/users?${new URLSearchParams(query as Record<string, string>)}`, {
    headers: as.operator,
  })

type Sort = 'created_at' | '-created_at' | 'email' | '-email'
const SORTS: Sort[] = ['created_at', '-created_at', 'email', '-email']

/** Computes the correct list, using only the folding rule. */
function expected(people: Person[], search: string, sort: Sort): string[] {
  const part = foldForSearch(search)
  const matches = people.filter((person) => fieldsOf(person).some((field) => field.includes(part)))
  const emails = matches.map(({ email }) => email)
  if (sort.endsWith('email')) emails.sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
  return sort.startsWith('-') ? emails.reverse() : emails
}

const emailsOf = (answer: { body: { items: { email: string }[] } }) => answer.body.items.map(({ email }) => email)

describe('R3: a search in any script with more than 2,000 matches', () => {
  /** Names of 199 characters, of which the last few differ. */
  const SCRIPTS: [script: string, word: string][] = [
    ['Cyrillic', 'Щедрый Покупатель магазина Ёлки '],
    ['Greek', 'Οδυσσεύς της Ιθάκης ΣΟΦΌΣ '],
    ['Armenian', 'Արևիկ Խաչատրյան '],
    ['Deseret', '𐐔𐐇𐐝𐐀𐐡𐐇𐐓 𐐼𐐯𐑅𐐨𐑉𐐯𐐻 '],
    ['Han', '李小龍漢字王明 '],
    ['one letter', 'ж'],
    ['emoji', '👩‍👩‍👧‍👦🏳️‍🌈'],
  ]
  const nameOf = (word: string, n: number) => `${[...word.repeat(200)].slice(0, 190).join('')} № ${n}`
  const people = Array.from(
    { length: MANY },
    (_, n): Person => ({
      // Emails whose order differs from the order of creation.
      email: `${(n * 7919) % MANY}.many@example.org`,
      name: `Покупатель магазина № ${n}`,
    }),
  ).concat(
    SCRIPTS.flatMap(([, word], at) =>
      Array.from({ length: MANY }, (_, n) => ({
        email: `${at}.${(n * 7919) % MANY}.long@example.org`,
        name: nameOf(word, n),
      })),
    ),
  )
  let system: System
  beforeAll(async () => {
    system = await startWith(people)
  })
  afterAll(() => system?.stop())

  test.each(
    ['покупатель магазина', 'ПОКУПАТЕЛЬ', 'покупатель магазин', 'Пок', 'уп', 'магазина № 20', 'a', '.many@'].flatMap(
      (search) => SORTS.map((sort) => [search, sort] as const),
    ),
  )('%s, by %s: every page and the whole walk', async (search, sort) => {
    const all = expected(people, search, sort)
    const first = await list(system, { search, sort, size: 3, page: 7 })
    expect([first.status, first.body.total, emailsOf(first)]).toEqual([200, all.length, all.slice(18, 21)])
    const seen: string[] = []
    let query: Record<string, string | number> = { search, sort, size: SIZE_MAX }
    for (let turn = 0; turn < 4; turn++) {
      const page = await list(system, query)
      expect(page.status).toBe(200)
      seen.push(...emailsOf(page))
      if (page.body.next_cursor === null) break
      query = { search, sort, size: SIZE_MAX, cursor: page.body.next_cursor }
    }
    expect(seen).toEqual(all.slice(0, 4 * SIZE_MAX))
  })

  test.each(SCRIPTS)('200 characters of %s', async (_, word) => {
    const fullName = nameOf(word, 1234)
    for (const sort of SORTS) {
      const searches = [
        fullName,
        fullName.toUpperCase(),
        [...fullName].slice(0, 190).join(''),
        [...fullName].slice(0, 18).join(''),
        `${[...fullName].slice(0, 190).join('')}?`,
      ].filter((search) => [...search].length <= 200)
      for (const search of searches) {
        const began = performance.now()
        const answer = await list(system, { search, sort, size: 10 })
        const took = performance.now() - began
        const all = expected(people, search, sort)
        expect([answer.status, answer.body.total, emailsOf(answer)]).toEqual([200, all.length, all.slice(0, 10)])
        // Takes a few milliseconds on an idle machine. A cost that doubles with each letter would exceed any limit.
        expect(took).toBeLessThan(PROMPT)
      }
    }
  })
})

describe('R3, R21: every search lists the matches by the folding rule', () => {
  /** Random numbers that are the same at each run (mulberry32). */
  function randomOf(seed: number) {
    let state = seed
    return () => {
      state = (state + 0x6d2b79f5) | 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    }
  }
  const random = randomOf(20261128)
  const below = (most: number) => Math.floor(random() * most)
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T

  const WORDS = `Пётр ЁЛКИН ёж Йод объезд Ђорђе Їжак Zoë Ångström Straße ẞ İstanbul ISPARTA ılık O'Neil "Ltd." 50% a_b *
    Οδυσσεύς ΣΟΦΌΣ ᾼδης Արև ԱՐԵՒ თამარი ᲗᲐᲛᲐᲠᲘ ᏣᎳᎩ 𐐔𐐇𐐝 𐑅𐐨𐑉 𞤀𞤣𞤤 李小龍 김철수 ガンダム أحمد محمود חנה क़लम นิยม 👩‍👧 🏳️‍🌈 🇷🇺
    oﬃce ŉ ǰ ΐ K Å a\u0323\u0307 q\u0307\u0323`.split(/\s+/)
  /** Spells each character in a form that readers see as the same text. */
  const SPELLINGS: ((text: string) => string)[] = [
    (text) => text,
    (text) => text.toUpperCase(),
    (text) => text.toLowerCase(),
    (text) => text.normalize('NFD'),
    (text) => text.replaceAll('ё', 'е').replaceAll('Ё', 'Е'),
    (text) => text.replaceAll('е', 'ё'),
  ]
  const people = Array.from({ length: 2300 }, (_, n): Person => {
    const words = Array.from({ length: 1 + below(12) }, () => pick(SPELLINGS)(pick(WORDS)))
    return {
      email: `${pick(['Ana', 'ivan', 'ZOE'])}.${(n * 7919) % 2300}@Example.org`,
      ...(n % 3 !== 0 && { username: `user_${n}` }),
      name: [...words.join(' ')].slice(0, 180).join('').trim(),
    }
  })
  let system: System
  beforeAll(async () => {
    system = await startWith(people)
  })
  afterAll(() => system?.stop())

  test('for 400 parts of names, emails and usernames, of 1 to 200 characters', async () => {
    const wrong: unknown[] = []
    let beyondFew = 0
    for (let turn = 0; turn < 400; turn++) {
      const { email, name, username } = pick(people)
      const letters = [...pick([name, name, name, email, username ?? name])]
      const from = below(letters.length)
      const length = 1 + below(pick([2, 3, 5, 20, 200]))
      const part = letters.slice(from, from + length).join('')
      const search = [...pick(SPELLINGS)(turn % 10 ? part : `${part}${pick(WORDS)}`)].slice(0, 200).join('')
      const sort = pick(SORTS)
      const size = pick([1, 7, 50, 200])
      const all = expected(people, search, sort)
      if (all.length > 2000) beyondFew++
      const page = 1 + below(Math.ceil(all.length / size) + 1)
      const pageAnswer = await list(system, { search, sort, size, page })
      const next = pageAnswer.body.next_cursor
      const after = next ? emailsOf(await list(system, { search, sort, size, cursor: next })) : []
      const answer = [pageAnswer.status, pageAnswer.body.total, ...emailsOf(pageAnswer), ...after]
      const right = [200, all.length, ...all.slice((page - 1) * size, (page + 1) * size)]
      if (!Bun.deepEquals(answer, right)) wrong.push({ search, sort, size, page, answer, right })
    }
    expect(wrong).toEqual([])
    // Both ways of listing by email were used.
    expect(beyondFew).toBeGreaterThan(10)
  })
})
