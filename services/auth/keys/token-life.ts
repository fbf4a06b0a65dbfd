import type { AuthStore } from '../store/index.ts'

export type TokenLifeStore = Pick<AuthStore, 'fact' | 'setFact'>

const FACT = 'longest_token_life'

/** Records for how long tokens live by the settings of this start, so that a revocation outlasts them after another one. */
export async function recordTokenLife(store: TokenLifeStore, jwtExpire: number): Promise<void> {
  if (jwtExpire > (await longestTokenLife(store))) await store.setFact(FACT, String(jwtExpire))
}

/** Returns the longest life that a token ever had, in milliseconds. */
export async function longestTokenLife(store: TokenLifeStore): Promise<number> {
  return Number((await store.fact(FACT)) ?? 0)
}
