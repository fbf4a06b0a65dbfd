import type { Mailer } from '../auth/mail/transport.ts'
import type { ModuleFeedSource } from '../kit/access/module-gate.ts'
import type { FeedSource } from '../kit/feed/revocation-subscriber.ts'
import type { DeletionListener } from '../users/peers.ts'
import { type AuthClient, authClient, feedSource } from './auth.ts'
import { deletionListeners } from './deletions.ts'
import type { Link } from './link.ts'
import { moduleFeedSource } from './modules.ts'
import { apiOfPages, type PagesPeer } from './pages.ts'
import { type UsersClient, usersClient } from './users.ts'

/**
 * The other services, as a service calls them. Each service declares its calls as interfaces in its `peers.ts`; the
 * clients here implement all of these interfaces.
 */
export interface Peers {
  auth: AuthClient
  users: UsersClient
  /** The revocation feed of auth. */
  feed: FeedSource
  /** The feeds of modules. */
  moduleFeed: ModuleFeedSource
  /** The services that users notifies when a user was deleted. */
  listeners: readonly DeletionListener[]
  /** The public API, for the pages. */
  pages: PagesPeer
  /** Sends the mails of auth. Without one, auth opens its own by the settings. */
  mailer?: Mailer
}

/**
 * Creates the clients for all services.
 * @param link finds the way to a service
 * @param subscribers the services to notify when a user was deleted
 */
export function createPeers<Name extends string>(
  link: (name: NoInfer<Name> | 'auth' | 'users' | 'modules') => Link,
  subscribers: readonly Name[],
): Peers {
  return {
    auth: authClient(link('auth')),
    users: usersClient(link('users')),
    feed: feedSource(link('auth')),
    moduleFeed: moduleFeedSource(link('modules')),
    listeners: deletionListeners(subscribers, link),
    pages: apiOfPages(link),
  }
}
