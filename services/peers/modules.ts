import type { ModuleFeedSource } from '../kit/access/module-gate.ts'
import type { ModulesApi } from '../modules/index.ts'
import { answerOf, clientOf, type Link, SHORT_TIMEOUT, withRequestId } from './link.ts'

/** The feed of a module, and the modules of a single user, for every service that has routes of a module. */
export function moduleFeedSource(link: Link): ModuleFeedSource {
  const { modules } = clientOf<ModulesApi>(link, SHORT_TIMEOUT)
  return {
    poll: (module, subscriber, after, epoch) =>
      answerOf(
        modules.sync.feed.get({ query: { module, follower: subscriber, after: String(after), epoch } }),
        'modules_unavailable',
      ),
    async modulesOf(user_id, requestId) {
      const result = await answerOf(modules.users({ user_id }).get(withRequestId(requestId)), 'modules_unavailable')
      return result.modules
    },
  }
}
