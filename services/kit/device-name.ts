/** Programs by what only their `User-Agent` contains. Most name others too, so the first that matches counts. */
const PROGRAMS: [pattern: RegExp, name: string][] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\b(OPR|OPiOS|Opera)\//, 'Opera'],
  [/\bYaBrowser\//, 'Yandex Browser'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bVersion\/\S+ (Mobile\/\S+ )?Safari\//, 'Safari'],
]
const SYSTEMS: [pattern: RegExp, name: string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac ?OS\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
]
/** A word at the start, such as `curl` in `curl/8.5.0`: letters and digits, so no address. */
const FIRST_WORD = /^[A-Za-z][A-Za-z0-9_-]{0,29}(?=[/\s]|$)/

/**
 * Names a device by its `User-Agent`, such as "Firefox, Linux". The header is written by whoever sent the request, so
 * a mail never repeats it: it could contain the address of another site.
 * @returns null when nothing in it is recognised
 */
export function deviceName(userAgent: string): string | null {
  const [program, system] = [PROGRAMS, SYSTEMS].map((list) => list.find(([pattern]) => pattern.test(userAgent))?.[1])
  const name = program ?? FIRST_WORD.exec(userAgent)?.[0].replace(/^Mozilla$/, '')
  return [...new Set([name, system])].filter(Boolean).join(', ') || null
}
