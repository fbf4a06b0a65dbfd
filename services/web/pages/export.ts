import type { SessionRead } from '../../auth/schemas/sessions.ts'
import type { Api } from '../../peers/pages.ts'
import { respond } from '../components/render.tsx'
import type { BrowserRequest } from '../request/browser-request.ts'
import type { Answer } from '../request/outcome.ts'
import { expected } from '../request/outcome.ts'
import type { Page } from './page.ts'

/** Rows that one call reads. */
const SIZE = '200'

/** `/account/export`: what the services store about the person, as a file. */
export const exportPage: Page = {
  path: '/account/export',
  signedIn: 'account',
  async get(request) {
    const user = await request.user()
    const { items: modules } = expected(await request.call(({ modules }) => modules.get()))
    const sessions = await all<SessionRead>(request, ({ auth }, query) => auth.sessions.get({ query: query as never }))
    const activity = await all(request, ({ auth }, query) => auth.activity.get({ query: query as never }))
    return respond(request, JSON.stringify({ user, sessions, activity, modules }, null, 2), {
      status: 200,
      headers: {
        'content-type': 'application/json',
        'content-disposition': 'attachment; filename="account.json"',
      },
    })
  },
}

interface Rows<T> {
  items: T[]
  next_cursor: string | null
}

/** Reads a whole list, page after page. */
async function all<T>(
  request: BrowserRequest,
  read: (api: Api, query: Record<string, string>) => Promise<Answer<Rows<T>>>,
): Promise<T[]> {
  const rows: T[] = []
  let cursor: string | null = null
  do {
    const query: Record<string, string> = { size: SIZE, ...(cursor === null ? {} : { cursor }) }
    const page: Rows<T> = expected(await request.call((api) => read(api, query)))
    rows.push(...page.items)
    cursor = page.next_cursor
  } while (cursor !== null)
  return rows
}
