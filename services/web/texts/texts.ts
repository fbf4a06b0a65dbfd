import type { Locale } from '../../kit/locale.ts'
import { en, type Texts } from './en.ts'
import { ru } from './ru.ts'

export const TEXTS: Readonly<Record<Locale, Texts>> = { en, ru }
