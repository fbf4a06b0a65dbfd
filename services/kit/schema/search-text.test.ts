import { describe, expect, test } from 'bun:test'
import { foldForSearch, searchTextOf } from './search-text.ts'

describe('R3, R21: spellings that a search treats as equal', () => {
  test.each<[script: string, ...spellings: string[]]>([
    ['Latin', 'zoë ångström', 'ZOË ÅNGSTRÖM', 'Zoë Ångström', 'ZOË ÅNGSTRÖM'.normalize('NFD')],
    ['Latin, of German', 'strasse', 'STRASSE', 'Straße', 'STRAẞE'],
    ['Latin, of Turkish', 'isparta istanbul', 'ISPARTA İSTANBUL', 'Isparta İstanbul', 'ısparta istanbul'],
    ['Latin, in ligatures', 'office', 'OFFICE', 'oﬃce', 'Oﬀice'],
    ['Latin, of Croatian', 'ǆep', 'ǄEP', 'ǅep'],
    ['Latin, of Vietnamese', 'nguyễn', 'NGUYỄN', 'Nguyễn'.normalize('NFD')],
    ['Latin, fullwidth', 'ａｎａ', 'ＡＮＡ', 'Ａｎａ'],
    ['Cyrillic', 'петр', 'пётр', 'Пётр', 'ПЁТР', 'ПЕТР', 'Пётр'.normalize('NFD')],
    ['Cyrillic, of Serbian and Ukrainian', 'ђорђе їжак', 'ЂОРЂЕ ЇЖАК', 'Ђорђе Їжак'.normalize('NFD')],
    ['Cyrillic, of old prints', 'вода', 'ᲀода', 'ВОДА'],
    ['Greek', 'οδυσσευσ', 'Οδυσσευς', 'ΟΔΥΣΣΕΥΣ'],
    ['Greek, with marks', 'ἀχαιῶν τῳαι', 'ἈΧΑΙῶΝ ΤῼΑΙ', 'Ἀχαιῶν Τῳαι'.normalize('NFD')],
    ['Armenian', 'արեւ', 'ԱՐԵՒ', 'Արև'],
    ['Georgian', 'თამარი', 'ᲗᲐᲛᲐᲠᲘ'],
    ['Cherokee', 'Ꮳꮃꭹ', 'ᏣᎳᎩ', 'ꮳꮃꭹ'],
    ['Deseret', '𐐼𐐯𐑅𐐨𐑉𐐯𐐻', '𐐔𐐇𐐝𐐀𐐡𐐇𐐓'],
    ['Adlam', '𞤀𞤣𞤤𞤢𞤥', '𞤢𞤣𞤤𞤢𞤥', '𞤀𞤁𞤂𞤀𞤃'],
    ['Korean', '김철수', '김철수'.normalize('NFD')],
    ['Japanese', 'ガンダム', 'ガンダム'.normalize('NFD')],
    ['Devanagari', 'क़लम', 'क़लम'.normalize('NFD')],
    ['signs', 'k å ω μ', 'K Å Ω µ'],
  ])('%s', (_, first, ...others) => {
    const folded = foldForSearch(first)
    expect(others.map(foldForSearch)).toEqual(others.map(() => folded))
    expect(foldForSearch(folded)).toBe(folded)
  })

  test.each<[string, string]>([
    ['й', 'и'],
    ['ї', 'і'],
    ['é', 'e'],
    ['ë', 'e'],
    ['ё', 'e'],
    ['ё', 'э'],
    ['а', 'a'],
    ['№', 'no'],
    ['李', '季'],
    ['ა', 'а'],
    ['👍', '👍🏽'],
    ['أ', 'ا'],
    ['パ', 'ハ'],
  ])('%s is not %s', (one, other) => {
    expect(foldForSearch(one)).not.toBe(foldForSearch(other))
  })

  test('every character folds to the same text as its upper case, lower case and decomposed forms; folding is idempotent', () => {
    const others: string[] = []
    // The planes after the second have only ideographs, of which the composed ones are tested.
    for (let code = 0; code <= 0x2fa1d; code++) {
      if ((code >= 0xd800 && code <= 0xdfff) || (code >= 0x20000 && code < 0x2f800)) continue
      const one = String.fromCodePoint(code)
      const folded = foldForSearch(one)
      const forms = [
        one.toLowerCase(),
        one.toUpperCase(),
        one.normalize('NFD'),
        one.toLowerCase().toUpperCase(),
        folded,
      ]
      if (forms.some((form) => foldForSearch(form) !== folded)) others.push(code.toString(16))
    }
    expect(others).toEqual([])
  })

  test('each letter of a text is folded independently of its position', () => {
    const words = ['ΟΔΟΣ', 'Σ', 'İI', 'ẞ', 'Ё', 'Ꭰ', '𐐀', 'ﬃ', 'Ა', 'é']
    for (const one of words)
      for (const other of words) expect(foldForSearch(one + other)).toBe(foldForSearch(one) + foldForSearch(other))
  })

  test('the text of a record has one line per field, without missing and duplicate ones', () => {
    expect(searchTextOf('Ana@Example.org', 'ana@example.org', null, 'Пётр\u0308')).toBe('ana@example.org\nпетр\u0308')
    expect(searchTextOf(null, '')).toBe('')
  })
})
