/** The languages of mails, and of a user's preference. */
export const LOCALES = ['en', 'ru'] as const

export type Locale = (typeof LOCALES)[number]

/**
 * The language that a client prefers, of those that we have (RFC 9110, 12.5.4); undefined if it prefers none of them.
 * @param header `Accept-Language`
 */
export function preferredLocale(header: string | null): Locale | undefined {
  const ranges = (header ?? '').slice(0, 200).split(',')
  const accepted = ranges.flatMap((range) => {
    const [tag = '', ...parameters] = range.trim().toLowerCase().split(';')
    const weight = parameters.map((parameter) => /^\s*q=([01](\.\d{0,3})?)\s*$/.exec(parameter)?.[1]).find(Boolean)
    const locale = LOCALES.find((each) => tag === each || tag.startsWith(`${each}-`))
    return locale && Number(weight ?? 1) > 0 ? [{ locale, weight: Number(weight ?? 1) }] : []
  })
  return accepted.toSorted((a, b) => b.weight - a.weight)[0]?.locale
}
