import type { Service } from '../kit/http/runtime.ts'
import { isProblemCode } from '../kit/problem.ts'
import { repeated } from '../kit/repeated.ts'
import type { DeletionListener } from '../users/peers.ts'
import { type Answer, acknowledged, clientOf, type Link } from './link.ts'

/** The attempts of a notice: the node that gets the first one may stand still. */
const ATTEMPTS = { after: 500, times: 3 }

/** The route that every subscriber has: `POST /<name>/sync/user-deleted`. */
type SubscriberApi = Record<
  string,
  { sync: { 'user-deleted': { post(body: { user_id: string }): Promise<Answer<unknown>> } } }
>

/** The subscribers to the deletion of users, as users calls them. */
export function deletionListeners<Name extends string>(
  names: readonly Name[],
  link: (name: Name) => Link,
): DeletionListener[] {
  return names.map((name) => {
    const code = `${name}_unavailable`
    // A service that `ch202 new` added has no code of its own.
    const unavailable = isProblemCode(code) ? code : 'internal_error'
    const client = clientOf<Service['app']>(link(name)) as unknown as SubscriberApi
    return {
      name,
      async userDeleted(user_id) {
        const notify = () => (client[name] as SubscriberApi[string]).sync['user-deleted'].post({ user_id })
        await repeated(() => acknowledged(notify(), unavailable), ATTEMPTS)
      },
    }
  })
}
