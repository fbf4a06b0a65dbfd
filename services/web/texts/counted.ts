const rules = new Intl.PluralRules('ru')

/** Chooses the Russian form of a noun after a number. @example '2 минуты' */
export function counted(count: number, one: string, few: string, many: string): string {
  const forms: Partial<Record<Intl.LDMLPluralRule, string>> = { one, few, many }
  return `${count} ${forms[rules.select(count)] ?? few}`
}
