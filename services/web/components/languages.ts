import type { Locale } from '../../kit/locale.ts'

/** The languages, each by its own name. */
export const LANGUAGES: Readonly<Record<Locale, string>> = { en: 'English', ru: 'Русский' }
