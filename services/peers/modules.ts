import type { ModuleFeedSource } from '../kit/access/module-gate.ts'
import type { ModulesApi } from '../modules/index.ts'
import { answerOf, clientOf, type Link, partOf, SHORT_TIMEOUT } from './link.ts'

/** The feed of a module, and the modules of a single user, for every service that has routes of a module. */
export function moduleFeedSource(link: Link): ModuleFeedSource {
  const { modules } = clientOf<ModulesApi>(link, SHORT_TIMEOUT)
  return {
    poll: (module, follower, after, epoch) =>
      answerOf(
        modules.sync.feed.get({ query: { module, follower, after: String(after), epoch } }),
        'modules_unavailable',
      ),
    async modulesOf(user_id, requestId) {
      const result = await answerOf(modules.users({ user_id }).get(partOf(requestId)), 'modules_unavailable')
      return result.modules
    },
  }
}
