import { ADMIN } from '../../kit/caller.ts'
import type { BrowserRequest } from './browser-request.ts'

/** The address of the support console. */
export const CONSOLE = '/console'

/**
 * Whether the pages show the support console to the person: to administrators, and to people with the role of the setting
 * SUPPORT_ROLE. What they may do there is decided by the API, for each call.
 */
export function mayOpenConsole({ context, roles }: Pick<BrowserRequest, 'context' | 'roles'>): boolean {
  const { supportRole } = context.config
  return roles.includes(ADMIN) || (supportRole !== undefined && roles.includes(supportRole))
}
