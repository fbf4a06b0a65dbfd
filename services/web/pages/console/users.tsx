/** @jsxRuntime automatic @jsxImportSource preact */

import { isUuid } from '../../../kit/random.ts'
import type { UserRead } from '../../../kit/schema/user.ts'
import { redirect, renderPage } from '../../components/render.tsx'
import { useRequest } from '../../components/request-context.ts'
import { Time } from '../../components/time.tsx'
import type { BrowserRequest } from '../../request/browser-request.ts'
import { CONSOLE } from '../../request/console.ts'
import { type FormErrors, formErrors } from '../../request/form-errors.ts'
import { expected } from '../../request/outcome.ts'
import { addressOf, ConsolePage } from './frame.tsx'
import { callFor, consolePage } from './gate.tsx'
import { Tags } from './tags.tsx'
import { userWith } from './user-facts.ts'

/** Users on one page. */
const SHOWN = '20'
/** Characters of a search. */
const SEARCH_MAX = 200

/** `/console`: finds users by a part of their name, email or username, or by their id. */
export const usersPage = consolePage({
  path: CONSOLE,
  async get(request) {
    const search = (request.url.searchParams.get('search') ?? '').trim()
    const cursor = request.url.searchParams.get('cursor')
    if (isUuid(search.toLowerCase())) return show(request, search, listOf(await userWith(request, search)))
    const query = { size: SHOWN, sort: '-created_at', search, ...(cursor === null ? {} : { cursor }) }
    const outcome = await callFor<Found>(request, ({ users }) => users.get({ query: query as never }) as never)
    if (outcome.ok || outcome.problem.status !== 400) return show(request, search, expected(outcome))
    // A cursor that someone changed, or of another search.
    const isAboutSearch = outcome.problem.errors.some(({ field }) => field === 'search')
    if (cursor !== null && !isAboutSearch) return redirect(request, addressOfList(search))
    const errors = formErrors(outcome.problem, request.texts)
    return show(request, search, { items: [], total: null, next_cursor: null }, errors)
  },
})

interface Found {
  items: readonly UserRead[]
  /** Null after a cursor. */
  total: number | null
  next_cursor: string | null
}

function listOf(user: UserRead | null): Found {
  const items = user ? [user] : []
  return { items, total: items.length, next_cursor: null }
}

/** The address of a list. */
function addressOfList(search: string, cursor?: string): string {
  const query = new URLSearchParams({
    ...(search === '' ? {} : { search }),
    ...(cursor === undefined ? {} : { cursor }),
  })
  return query.size > 0 ? `${CONSOLE}?${query}` : CONSOLE
}

function show(request: BrowserRequest, search: string, list: Found, errors?: FormErrors): Response {
  const content = <Users search={search} list={list} error={errors?.fields.search} />
  return renderPage(request, content, { title: request.texts.console.users.title, status: errors ? 400 : 200 })
}

interface UsersProps {
  search: string
  list: Found
  error: string | undefined
}

function Users({ error, list, search }: UsersProps) {
  const { texts, url } = useRequest()
  const { users } = texts.console
  const isFirst = !url.searchParams.has('cursor')
  const ofTotal = list.total === null ? null : users.count(list.total)
  const count = list.items.length === 0 ? users.none : ofTotal
  return (
    <ConsolePage title={users.title}>
      <Search search={search} error={error} />
      {error === undefined && (
        <>
          {count !== null && (
            <p class="muted" role="status">
              {count}
            </p>
          )}
          {list.items.length > 0 && (
            <div class="card">
              <ul class="list">
                {list.items.map((user) => (
                  <Item key={user.id} user={user} />
                ))}
              </ul>
            </div>
          )}
          {(!isFirst || list.next_cursor !== null) && (
            <p class="actions">
              {!isFirst && <a href={addressOfList(search)}>{users.first}</a>}
              {list.next_cursor !== null && <a href={addressOfList(search, list.next_cursor)}>{users.next}</a>}
            </p>
          )}
        </>
      )}
    </ConsolePage>
  )
}

function Search({ error, search }: Pick<UsersProps, 'search' | 'error'>) {
  const { users } = useRequest().texts.console
  return (
    <search class="search">
      <form method="get" action={CONSOLE} novalidate>
        <label for="search">{users.search}</label>
        <div class="row">
          <input
            id="search"
            name="search"
            type="search"
            class="search-field"
            value={search}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            maxLength={SEARCH_MAX}
            aria-describedby={error ? 'search-hint search-error' : 'search-hint'}
            aria-invalid={error ? 'true' : undefined}
            autofocus={error !== undefined}
          />
          <button type="submit">{users.submit}</button>
        </div>
        <p class="hint" id="search-hint">
          {users.hint}
        </p>
        {error && (
          <p class="error" id="search-error">
            {error}
          </p>
        )}
        {search !== '' && (
          <p class="more">
            <a href={CONSOLE}>{users.all}</a>
          </p>
        )}
      </form>
    </search>
  )
}

function Item({ user }: { user: UserRead }) {
  const { texts } = useRequest()
  const names = [user.name, user.username].filter((name) => name !== null && name !== '')
  return (
    <li>
      <div class="row">
        <p>
          <a href={addressOf(user)}>
            <strong>{user.email}</strong>
          </a>
        </p>
        <p>
          <Tags user={user} />
        </p>
      </div>
      {names.length > 0 && <p>{names.join(' · ')}</p>}
      <p class="muted small">
        {texts.console.users.created}: <Time at={user.created_at} />
      </p>
    </li>
  )
}
