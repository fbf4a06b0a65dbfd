/** An encoding, with its common name and its name for `iconv`. */
export interface TextEncoding {
  name: string
  iconv: string
}

/** Single-byte encodings with the most frequent letters of their languages. */
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

/** Double-byte encodings with the scripts of their common characters. */
const IDEOGRAPHS: readonly [name: string, decoder: string, iconv: string, leads: [number, number], script: RegExp][] = [
  ['EUC-KR', 'euc-kr', 'EUC-KR', [0xb0, 0xc8], /\p{Script=Hangul}/u],
  ['Shift_JIS', 'shift_jis', 'SHIFT_JIS', [0x81, 0x9f], /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}ー]/u],
  ['GBK', 'gbk', 'GBK', [0xb0, 0xd7], /\p{Script=Han}/u],
  ['Big5', 'big5', 'BIG5', [0xa4, 0xc6], /\p{Script=Han}/u],
]

/** Minimum share of common letters for a guess. */
const SHARE_MIN = 0.4
const SAMPLE = 32 * 1024

/**
 * Guesses the encoding of text that is not UTF-8: the one in which most of its letters are common ones.
 * @returns undefined if no encoding stands out
 */
export function guessEncoding(bytes: Uint8Array): TextEncoding | undefined {
  const start = Math.max(
    0,
    bytes.findIndex((byte) => byte > 0x7f),
  )
  const sample = bytes.subarray(start, start + SAMPLE)
  let best: TextEncoding | undefined
  let bestShare = SHARE_MIN
  const consider = (name: string, iconv: string, share: number) => {
    if (share <= bestShare) return
    bestShare = share
    best = { name, iconv }
  }
  for (const [name, decoder, iconv, letters] of ALPHABETS) consider(name, iconv, lettersShare(sample, decoder, letters))
  for (const [name, decoder, iconv, leads, script] of IDEOGRAPHS)
    consider(name, iconv, ideographsShare(sample, decoder, leads, script))
  return best
}

/** Score of a capital after a capital, since words in capitals are rarer. */
const CAPITALS = 0.7

/** Share of common letters among those beyond ASCII, weighted by how likely each is in its position. */
function lettersShare(sample: Uint8Array, decoder: string, letters: string): number {
  const text = new TextDecoder(decoder as 'utf-8').decode(sample)
  const common = new Set(letters)
  const isLatin = /\p{Script=Latin}/u.test(letters)
  let all = 0
  let likelyLetters = 0
  let previous = ''
  for (const character of text) {
    if (character > '\u007f') {
      all++
      const lower = character.toLowerCase()
      if (common.has(lower) || common.has(character))
        likelyLetters += isLatin ? latinScore(previous) : letterScore(previous, character)
    }
    previous = /\p{L}/u.test(character) ? character : ''
  }
  return all === 0 ? 0 : likelyLetters / all
}

/** In Latin scripts, letters beyond ASCII are rarely adjacent. */
function latinScore(previous: string): number {
  return previous > '\u007f' ? 0 : 1
}

/** A word has letters of one alphabet; a capital after a small letter suggests the wrong encoding. */
function letterScore(previous: string, character: string): number {
  const isCapital = character !== character.toLowerCase()
  if (previous === '' || (previous > '\u007f' && !isCapital)) return 1
  return previous > '\u007f' && previous !== previous.toLowerCase() ? CAPITALS : 0
}

function ideographsShare(sample: Uint8Array, decoder: string, [from, to]: [number, number], script: RegExp): number {
  // The sample may end in the middle of a character.
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
