import { Problem, type ProblemCode } from '../../kit/problem.ts'

/**
 * How a step of a login ends. `succeeded`: with a session; `continued`: another step is needed, such as a second factor;
 * `refused`: a wrong password, code or passkey, or an unknown user; `unavailable`: the step could not be decided.
 */
export const LOGIN_OUTCOMES = [
  'succeeded',
  'continued',
  'refused',
  'disabled',
  'rate_limited',
  'overloaded',
  'unavailable',
] as const

export type LoginOutcome = (typeof LOGIN_OUTCOMES)[number]

const OUTCOMES: Partial<Record<ProblemCode, LoginOutcome>> = {
  email_not_verified: 'continued',
  second_factor_required: 'continued',
  second_factor_enrolment_required: 'continued',
  device_confirmation_required: 'continued',
  invalid_credentials: 'refused',
  invalid_code: 'refused',
  invalid_challenge: 'refused',
  account_disabled: 'disabled',
  rate_limited: 'rate_limited',
  overloaded: 'overloaded',
}

export interface LoginCount {
  /** Counts the outcome of a step, for the metrics. */
  countLogin(outcome: LoginOutcome): void
}

/**
 * Runs a step of a login, and counts how it ends. What is no attempt, such as a body with faults, is not counted.
 * @param isLogin false: it is a step of something else
 * @throws what the step throws
 */
export async function counted<Result>(
  { countLogin }: LoginCount,
  step: () => Promise<Result>,
  isLogin = true,
): Promise<Result> {
  if (!isLogin) return await step()
  try {
    const result = await step()
    countLogin('succeeded')
    return result
  } catch (error) {
    const outcome = outcomeOf(error)
    if (outcome) countLogin(outcome)
    throw error
  }
}

function outcomeOf(error: unknown): LoginOutcome | undefined {
  if (!(error instanceof Problem)) return 'unavailable'
  return OUTCOMES[error.code] ?? (error.status >= 500 ? 'unavailable' : undefined)
}
