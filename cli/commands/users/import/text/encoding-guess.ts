/** An encoding, as people know it and as `iconv` does. */
export interface TextEncoding {
  name: string
  iconv: string
}

/** Alphabets of one byte a letter, with the letters that texts in them are mostly made of. */
const ALPHABETS: readonly [name: string, decoder: string, iconv: string, letters: string][] = [
  ['Windows-1252', 'windows-1252', 'WINDOWS-1252', 'éèêëàâäáãåæçíîïñóôöõøúûüßœ’“”–…'],
  ['Windows-1250', 'windows-1250', 'WINDOWS-1250', 'ąćęłńóśźżčďěňřšťůžáéíýúőűöüäß'],
  ['Windows-1254', 'windows-1254', 'WINDOWS-1254', 'şğıİçöüâî'],
  ['Windows-1251', 'windows-1251', 'WINDOWS-1251', 'оеаинтсрвлкмдпуіїєў'],
  ['KOI8-R', 'koi8-r', 'KOI8-R', 'оеаинтсрвлкмдпу'],
  ['CP866', 'ibm866', 'CP866', 'оеаинтсрвлкмдпу'],
  ['Windows-1253', 'windows-1253', 'WINDOWS-1253', 'αοιετσνηυρκπςάέήίόύώ'],
  ['Windows-1255', 'windows-1255', 'WINDOWS-1255', 'יוהלארבתשמנם'],
  ['Windows-1256', 'windows-1256', 'WINDOWS-1256', 'اليمونربتهدعس'],
]

/** Encodings of two bytes a character, with what their common characters are in Unicode. */
const IDEOGRAPHS: readonly [name: string, decoder: string, iconv: string, leads: [number, number], script: RegExp][] = [
  ['EUC-KR', 'euc-kr', 'EUC-KR', [0xb0, 0xc8], /\p{Script=Hangul}/u],
  ['Shift_JIS', 'shift_jis', 'SHIFT_JIS', [0x81, 0x9f], /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}ー]/u],
  ['GBK', 'gbk', 'GBK', [0xb0, 0xd7], /\p{Script=Han}/u],
  ['Big5', 'big5', 'BIG5', [0xa4, 0xc6], /\p{Script=Han}/u],
]

/** Below that it is anything. */
const LEAST = 0.4
const SAMPLE = 32 * 1024

/**
 * What a text that is not UTF-8 looks like: the encoding by which most of its letters are common ones.
 * @returns undefined where none stands out
 */
export function guessEncoding(bytes: Uint8Array): TextEncoding | undefined {
  const start = Math.max(
    0,
    bytes.findIndex((byte) => byte > 0x7f),
  )
  const sample = bytes.subarray(start, start + SAMPLE)
  let best: TextEncoding | undefined
  let most = LEAST
  const consider = (name: string, iconv: string, share: number) => {
    if (share <= most) return
    most = share
    best = { name, iconv }
  }
  for (const [name, decoder, iconv, letters] of ALPHABETS) consider(name, iconv, lettersShare(sample, decoder, letters))
  for (const [name, decoder, iconv, leads, script] of IDEOGRAPHS)
    consider(name, iconv, ideographsShare(sample, decoder, leads, script))
  return best
}

/** A capital behind a capital: words of capitals are rarer than others. */
const CAPITALS = 0.7

/** How many letters are common ones, of those beyond ASCII, by how likely each is where it stands. */
function lettersShare(sample: Uint8Array, decoder: string, letters: string): number {
  const text = new TextDecoder(decoder as 'utf-8').decode(sample)
  const common = new Set(letters)
  const isLatin = /\p{Script=Latin}/u.test(letters)
  let all = 0
  let good = 0
  let before = ''
  for (const character of text) {
    if (character > '\u007f') {
      all++
      const lower = character.toLowerCase()
      if (common.has(lower) || common.has(character)) good += isLatin ? latin(before) : likely(before, character)
    }
    before = /\p{L}/u.test(character) ? character : ''
  }
  return all === 0 ? 0 : good / all
}

/** Of the letters beyond ASCII few stand side by side. */
function latin(before: string): number {
  return before > '\u007f' ? 0 : 1
}

/** A word has letters of one alphabet; a capital behind a small letter is what a wrong alphabet makes of a word. */
function likely(before: string, character: string): number {
  const isCapital = character !== character.toLowerCase()
  if (before === '' || (before > '\u007f' && !isCapital)) return 1
  return before > '\u007f' && before !== before.toLowerCase() ? CAPITALS : 0
}

function ideographsShare(sample: Uint8Array, decoder: string, [from, to]: [number, number], script: RegExp): number {
  // The sample may end within a character.
  const characters = [...new TextDecoder(decoder as 'utf-8').decode(sample)].filter((character) => character > '\u007f')
  if (characters.includes('\ufffd') && characters.indexOf('\ufffd') < characters.length - 1) return 0
  const common = characters.filter((character) => script.test(character)).length
  let pairs = 0
  let leads = 0
  for (let at = 0; at < sample.length - 1; at++) {
    const lead = sample[at] as number
    if (lead < 0x80) continue
    pairs++
    if (lead >= from && lead <= to) leads++
    at++
  }
  return pairs === 0 ? 0 : (common / characters.length) * (leads / pairs)
}
