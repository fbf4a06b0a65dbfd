export type { Locale } from '../locale.ts'
