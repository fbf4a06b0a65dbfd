import type { Locale } from '../../kit/locale.ts'
import { en } from './en.ts'
import { ru } from './ru.ts'

/** The texts of all pages in one language. */
export type Texts = typeof en

export const TEXTS: Readonly<Record<Locale, Texts>> = { en, ru }
