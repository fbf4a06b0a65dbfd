const ASCII = /^[a-z0-9-]*$/i
/** The full stops of a domain (UTS 46, 4). */
const DOTS = /[.。．｡]/

/**
 * The ASCII form of an internationalized domain (UTS 46, nontransitional); undefined for what is none, or looks like
 * another.
 */
export function asciiDomain(domain: string): string | undefined {
  tools ??= loaded()
  const { domainToASCII, domainToUnicode, isLabel, isOfOneScript, looksLikeAscii, beyondAscii } = tools
  const typed = domain.split(DOTS)
  if (!typed.every((label) => isLabel.test(label))) return undefined
  // Behind another label a number at the end is not taken for a part of an IPv4 address.
  const ascii = domainToASCII(`${domain}.x`).slice(0, -'.x'.length)
  const labels = ascii.split('.')
  if (labels.length !== typed.length) return undefined
  const international = labels.filter((_, index) => !ASCII.test(typed[index] ?? ''))
  // What looks like ASCII, and becomes that, is a look-alike.
  if (international.length === 0 || !international.every((label) => label.startsWith('xn--'))) return undefined
  const shown = international.map((label) => domainToUnicode(label))
  if (!shown.every((label) => isOfOneScript.test(label)) || looksLikeAscii.test(shown.join(''))) return undefined
  const top = domainToUnicode(labels.at(-1) ?? '')
  return beyondAscii.test(top) && !LATIN_TOPS.includes(top) ? undefined : ascii
}

/** Of the top level domains in Latin letters only these are not ASCII: `orǵ` is a look-alike. */
const LATIN_TOPS = ['vermögensberater', 'vermögensberatung']

/** Scripts that are written today (UAX 31, table 5), but for Latin and those of Chinese, Japanese and Korean. */
const SCRIPTS =
  'Arab Armn Beng Cyrl Deva Ethi Geor Grek Gujr Guru Hebr Khmr Knda Laoo Mlym Mymr Orya Sinh Taml Telu Thaa Thai Tibt'
/** Latin as languages write it: neither phonetic letters nor other symbols. */
const BEYOND_ASCII = '\u00df-\u024f\u1e00-\u1eff\u0300-\u036fɓɔɖɗəɛɣɨɲɵʃʉʊʋʒ·'
/** Labels of one script, or of those that are written together (UTS 39, 5.2: highly restrictive). */
const ONE_SCRIPT = [
  `[a-z${BEYOND_ASCII}0-9-]+`,
  ...SCRIPTS.split(' ').map((script) => `[\\p{scx=${script}}0-9-]+`),
  '[\\p{scx=Hani}\\p{scx=Hira}\\p{scx=Kana}a-z0-9-]+',
  '[\\p{scx=Hani}\\p{scx=Hang}a-z0-9-]+',
  '[\\p{scx=Hani}\\p{scx=Bopo}a-z0-9-]+',
]

/** What has the look of ASCII. */
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

let tools: ReturnType<typeof loaded> | undefined

/** Made when the first such domain is seen: they take three megabytes. */
function loaded() {
  const { domainToASCII, domainToUnicode } = require('node:url') as typeof import('node:url')
  return {
    domainToASCII,
    domainToUnicode,
    /** As it is typed: no sign that is not seen, and none that a URL has a use for. The middle dot is Catalan's. */
    isLabel: /^(?!-)(?:(?!\p{DI})[\p{L}\p{M}\p{N}-]|(?<=l)·(?=l))+(?<!-)$/iu,
    isOfOneScript: new RegExp(`^(?:${ONE_SCRIPT.join('|')})$`, 'u'),
    /** Of a domain in which nothing tells it from ASCII, such as `сосо` in Cyrillic. */
    looksLikeAscii: new RegExp(`^[a-z0-9${LOOK_ALIKES.join('')}-]+$`, 'u'),
    beyondAscii: new RegExp(`[${BEYOND_ASCII}]`, 'u'),
  }
}
