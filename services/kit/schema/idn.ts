const ASCII = /^[a-z0-9-]*$/i
/** The label separators of a domain (UTS 46, 4). */
const DOTS = /[.。．｡]/

/**
 * Converts an internationalized domain to its ASCII form (UTS 46, nontransitional).
 * @returns undefined for text that is not a domain, or that looks like another domain
 */
export function asciiDomain(domain: string): string | undefined {
  tools ??= loadTools()
  const { domainToASCII, domainToUnicode, isLabel, isOfOneScript, looksLikeAscii, beyondAscii } = tools
  const typed = domain.split(DOTS)
  if (!typed.every((label) => isLabel.test(label))) return undefined
  // With another label after it, a number at the end is not parsed as part of an IPv4 address.
  const ascii = domainToASCII(`${domain}.x`).slice(0, -'.x'.length)
  const labels = ascii.split('.')
  if (labels.length !== typed.length) return undefined
  const international = labels.filter((_, index) => !ASCII.test(typed[index] ?? ''))
  // A label that looks like ASCII and becomes ASCII is a look-alike.
  if (international.length === 0 || !international.every((label) => label.startsWith('xn--'))) return undefined
  const displayed = international.map((label) => domainToUnicode(label))
  if (!displayed.every((label) => isOfOneScript.test(label)) || looksLikeAscii.test(displayed.join('')))
    return undefined
  const top = domainToUnicode(labels.at(-1) ?? '')
  return beyondAscii.test(top) && !LATIN_TOPS.includes(top) ? undefined : ascii
}

/** The only top level domains in Latin letters beyond ASCII. Any other, such as `orǵ`, is a look-alike. */
const LATIN_TOPS = ['vermögensberater', 'vermögensberatung']

/** Scripts in modern use (UAX 31, table 5), except Latin and those of Chinese, Japanese and Korean. */
const SCRIPTS =
  'Arab Armn Beng Cyrl Deva Ethi Geor Grek Gujr Guru Hebr Khmr Knda Laoo Mlym Mymr Orya Sinh Taml Telu Thaa Thai Tibt'
/** Latin letters of languages, without phonetic letters and symbols. */
const BEYOND_ASCII = '\u00df-\u024f\u1e00-\u1eff\u0300-\u036fɓɔɖɗəɛɣɨɲɵʃʉʊʋʒ·'
/** Labels of one script, or of scripts that are used together (UTS 39, 5.2: highly restrictive). */
const ONE_SCRIPT = [
  `[a-z${BEYOND_ASCII}0-9-]+`,
  ...SCRIPTS.split(' ').map((script) => `[\\p{scx=${script}}0-9-]+`),
  '[\\p{scx=Hani}\\p{scx=Hira}\\p{scx=Kana}a-z0-9-]+',
  '[\\p{scx=Hani}\\p{scx=Hang}a-z0-9-]+',
  '[\\p{scx=Hani}\\p{scx=Bopo}a-z0-9-]+',
]

/** Characters that look like ASCII. */
const LOOK_ALIKES = [
  // Cyrillic, Greek, Armenian, Hebrew.
  'асԁеһіјӏорԛѕѵԝхуү',
  'αικνορυϲϳ',
  'օսհոցզ',
  'וסןי',
  // Latin, and marks that hide on a letter.
  'ıȷǀƽſɑɡɩ',
  '\u0300-\u036f',
  // Zeros and ones.
  '٠١٥۰۱۵०০੦૦୦௦౦೦൦๐໐၀',
]

let tools: ReturnType<typeof loadTools> | undefined

/** Created for the first internationalized domain, because the patterns take three megabytes. */
function loadTools() {
  const { domainToASCII, domainToUnicode } = require('node:url') as typeof import('node:url')
  return {
    domainToASCII,
    domainToUnicode,
    /** A label as typed: no invisible characters, none with a meaning in a URL. The middle dot is Catalan. */
    isLabel: /^(?!-)(?:(?!\p{DI})[\p{L}\p{M}\p{N}-]|(?<=l)·(?=l))+(?<!-)$/iu,
    isOfOneScript: new RegExp(`^(?:${ONE_SCRIPT.join('|')})$`, 'u'),
    /** Matches labels that nobody can tell from ASCII, such as `сосо` in Cyrillic. */
    looksLikeAscii: new RegExp(`^[a-z0-9${LOOK_ALIKES.join('')}-]+$`, 'u'),
    beyondAscii: new RegExp(`[${BEYOND_ASCII}]`, 'u'),
  }
}
