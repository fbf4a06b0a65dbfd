/** The formats in which every command can print its result. */
export const OUTPUTS = ['table', 'json', 'jsonl', 'csv', 'ids'] as const
export type Output = (typeof OUTPUTS)[number]
