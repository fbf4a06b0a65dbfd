import { failurePage } from '../components/failure.tsx'
import { redirect } from '../components/render.tsx'
import { type BrowserRequest, SignInNeeded } from '../request/browser-request.ts'
import { type ApiProblem, UnexpectedProblem } from '../request/outcome.ts'

/**
 * Does something as the person who is signed in, in their language.
 * @returns null when nobody is signed in, or the session has ended
 */
export async function asPerson<T>(request: BrowserRequest, act: () => Promise<T>): Promise<T | null> {
  if (!request.session) return null
  try {
    const { locale } = await request.user()
    if (locale !== null) request.speak(locale)
    return await act()
  } catch (error) {
    if (error instanceof SignInNeeded) return null
    throw error
  }
}

/** The page for a request of an app that has no answer. It leads nowhere: the address of the app may be false. */
export function badRequestOfApp(request: BrowserRequest, requestId?: string): Response {
  return failurePage(request, 'app', { status: 400, requestId })
}

/** @throws UnexpectedProblem when the request of the app is not the cause */
export function refuseApp(request: BrowserRequest, problem: ApiProblem): Response {
  if (!['invalid_authorization', 'invalid_logout_request', 'validation_failed'].includes(problem.code))
    throw new UnexpectedProblem(problem)
  return badRequestOfApp(request, problem.requestId)
}

/** Sends the browser to an address that auth has built, from one that the app has registered. */
export function toApp(request: BrowserRequest, address: string | null): Response {
  if (address === null) throw new Error('The API gave no address to go to')
  return redirect(request, address)
}

/** Characters of an address that servers and proxies take. */
const LONGEST_LINK = 6000

/** Answers a form of another site as a link with the same fields: browsers send no cookies with such forms. */
export function asLink(request: BrowserRequest): Response {
  const { form, url } = request
  const fields = new URLSearchParams([...url.searchParams, ...form])
  fields.delete('form_token')
  const link = `${url.pathname}?${fields}`
  return link.length > LONGEST_LINK ? badRequestOfApp(request) : redirect(request, link)
}
