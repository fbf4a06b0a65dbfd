import type { Texts } from '../texts/en.ts'
import { type ApiProblem, UnexpectedProblem } from './outcome.ts'

/** The errors of a form: texts by field, and one for the whole form. */
export interface FormErrors {
  fields: Readonly<Record<string, string>>
  summary?: string
}

/** The texts that stand for others in one form, by the code of the API. */
export type Wording = Readonly<Record<string, keyof Texts['problems']>>

/** The wording of forms that are sent with the token of a link. */
export const LINK_WORDING = { invalid_challenge: 'invalid_link' } as const satisfies Wording

/** Says that the step has ended that waited for a code. */
export const codeEnded = ({ problems }: Texts): FormErrors => ({ fields: {}, summary: problems.invalid_challenge })

const UNAVAILABLE = /^(unreachable|internal_error|.*_unavailable)$/

/**
 * Puts a problem of the API into words.
 * @param fieldOf the field that a problem of the whole form belongs to, by its code
 * @throws UnexpectedProblem when there are no words for it
 */
export function formErrors(
  problem: ApiProblem,
  texts: Texts,
  { fieldOf = {}, wording = {} }: { fieldOf?: Readonly<Record<string, string>>; wording?: Wording } = {},
): FormErrors {
  if (problem.errors.length > 0) {
    // No form shows the token of a link: a malformed one is as void as an unknown one.
    const visible = problem.errors.filter(({ field }) => field !== 'token')
    const isLinkVoid = visible.length < problem.errors.length
    const worded = visible.map(
      ({ code, field, limit }) => [fieldOf[field] ?? field, texts.errors[code](limit)] as const,
    )
    return { fields: Object.fromEntries(worded), ...(isLinkVoid ? { summary: texts.problems.invalid_link } : {}) }
  }
  const summary = wordsOf(problem, texts, wording)
  const field = fieldOf[problem.code]
  return field === undefined ? { fields: {}, summary } : { fields: { [field]: summary } }
}

function wordsOf({ code, retryAfter, ...problem }: ApiProblem, texts: Texts, wording: Wording): string {
  if (UNAVAILABLE.test(code)) return texts.problems.unavailable
  const word = wording[code] ?? code
  if (!Object.hasOwn(texts.problems, word)) throw new UnexpectedProblem({ code, retryAfter, ...problem })
  const text = texts.problems[word as keyof Texts['problems']]
  return code === 'rate_limited' ? `${text} ${texts.tryAgainIn(retryAfter ?? 60)}` : text
}
