import { treaty } from '@elysiajs/eden'
import type { AuthApi } from '../auth/index.ts'
import type { ModulesApi } from '../modules/index.ts'
import type { UsersApi } from '../users/index.ts'
import { type Link, SHORT_TIMEOUT } from './link.ts'

/** Milliseconds: longer than a password hash at the end of a full queue takes. */
const CALL_TIMEOUT = 15_000

/** Adds to a request the headers that say on whose behalf it is sent. @param key the internal key */
export type Describe = (request: Request, key: string) => void

function clientOf<Api extends AuthApi | ModulesApi | UsersApi>({ fetch, key, url }: Link, describe: Describe) {
  return treaty<Api>(`${url}/api/v1`, {
    // Keeps times as the text that they are in the API.
    parseDate: false,
    fetcher: ((target: string, init?: RequestInit) => {
      const signal = AbortSignal.timeout(CALL_TIMEOUT)
      const request = new Request(target, { ...init, redirect: 'error', signal })
      describe(request, key)
      return fetch(request)
    }) as typeof globalThis.fetch,
  })
}

/**
 * The public API as the pages call it: with the credential of the person, and never with the internal key.
 * @param link finds the way to a service
 */
export function apiOfPages(link: (name: 'auth' | 'users' | 'modules') => Link) {
  return {
    /** The routes of each service. @param describe is called with each request before it is sent */
    as: (describe: Describe) => ({
      get auth() {
        return clientOf<AuthApi>(link('auth'), describe).auth
      },
      get admin() {
        return clientOf<AuthApi>(link('auth'), describe).admin
      },
      get users() {
        return clientOf<UsersApi>(link('users'), describe).users
      },
      get modules() {
        return clientOf<ModulesApi>(link('modules'), describe).modules
      },
    }),
    /** Whether auth takes requests. */
    async isReady(): Promise<boolean> {
      const { fetch, url } = link('auth')
      const request = new Request(`${url}/health/ready`, { signal: AbortSignal.timeout(SHORT_TIMEOUT) })
      return await Promise.resolve(fetch(request)).then(
        ({ ok }) => ok,
        () => false,
      )
    },
  }
}

export type PagesPeer = ReturnType<typeof apiOfPages>
/** The routes of the services, as one browser's pages call them. */
export type Api = ReturnType<PagesPeer['as']>
