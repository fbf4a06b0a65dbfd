import type { Caller } from '../../kit/caller.ts'
import { Problem } from '../../kit/problem.ts'

/** A caller with an access token: what the guard of a route for users alone has made sure. */
export function ofUser(caller: Caller): Caller & { userId: string } {
  const { userId } = caller
  if (userId === null) throw new Problem('forbidden')
  // A copy would lose what the caller reads from the request when it is asked for.
  return caller as Caller & { userId: string }
}
