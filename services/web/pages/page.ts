import type { BrowserRequest } from '../request/browser-request.ts'

type Handler = (request: BrowserRequest) => Response | Promise<Response>

/** A page: what it answers to each method. */
export interface Page {
  path: string
  /**
   * For a person who is signed in; anyone else goes to the sign-in, and comes back. `account`: the API is asked who they
   * are. `cookie`: having a session is enough, so that the page works while the API cannot be reached.
   */
  signedIn?: 'account' | 'cookie'
  get?: Handler
  post?: Handler
  /** Answers a form of another site, or one without the token of a page. It must change nothing. Absent: refused. */
  foreignForm?: Handler
  /** The address to which a person comes back from the sign-in; absent: that of the page. */
  cameFrom?(request: BrowserRequest): string
}
