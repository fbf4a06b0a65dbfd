import { as, call } from '../support/http.ts'
import type { System } from '../support/system.ts'
import { BASE } from './actors.ts'
import { dropOldMails } from './mail.ts'

const AT_ONCE = 4
const KEYS = 8
/** Milliseconds. A younger user may belong to an actor whose creation was not answered yet. */
const USER_AGE = 5000

/**
 * Deletes what requests have created and no line needs, so that the last request of a run finds the same system as the
 * first: lists of bounded length and a handful of keys.
 */
export async function tidy(system: System, neededIds: ReadonlySet<string>): Promise<void> {
  await tidyUsers(system, neededIds)
  await tidyModules(system, neededIds)
  await tidyKeys(system)
  await tidyWebhooks(system)
  dropOldMails(system)
}

async function tidyUsers({ url }: System, neededIds: ReadonlySet<string>): Promise<void> {
  let cursor = ''
  do {
    const { body } = await call(url.users, `GET /users?size=200${cursor}`, { headers: as.operator })
    const now = Date.now()
    const spare = body.items.filter(({ id, created_at }: { id: string; created_at: string }) => {
      const age = now - Date.parse(created_at)
      return !neededIds.has(id) && (age > USER_AGE || age < -USER_AGE)
    })
    await inTurns(spare, ({ id }: { id: string }) => call(url.users, `DELETE /users/${id}`, { headers: as.operator }))
    cursor = body.next_cursor === null ? '' : `&cursor=${body.next_cursor}`
  } while (cursor !== '')
}

async function tidyModules({ url }: System, neededIds: ReadonlySet<string>): Promise<void> {
  // A module that another requires can be deleted only after that one.
  for (let round = 0, spareCount = -1; round < 5 && spareCount !== 0; round++) {
    const { body } = await call(url.modules, 'GET /modules', { headers: as.operator })
    const spare = body.items.filter(({ id }: { id: string }) => id !== BASE && !neededIds.has(id))
    spareCount = spare.length
    await inTurns(spare, ({ id }: { id: string }) =>
      call(url.modules, `DELETE /modules/${id}`, { headers: as.operator }),
    )
  }
}

async function tidyKeys({ url }: System): Promise<void> {
  const { body } = await call(url.auth, 'GET /admin/keys', { headers: as.operator })
  for (const { kid } of body.items.slice(KEYS))
    await call(url.auth, `DELETE /admin/keys/${kid}`, { headers: as.operator })
}

/** Each webhook receives every event. */
async function tidyWebhooks({ url }: System): Promise<void> {
  const { body } = await call(url.auth, 'GET /admin/webhooks', { headers: as.operator })
  for (const { id } of body.items) await call(url.auth, `DELETE /admin/webhooks/${id}`, { headers: as.operator })
}

async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
