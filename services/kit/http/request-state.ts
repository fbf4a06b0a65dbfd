import type { ModuleGate } from '../access/module-gate.ts'
import type { Caller } from '../caller.ts'
import type { Problem } from '../problem.ts'

/** The state of one request. The hooks keep it in Elysia's context, which is one object from the first to the last. */
export interface RequestState {
  requestId: string
  /** Monotonic milliseconds. */
  startedAt: number
  /** The path of the URL, as the framework parsed it. */
  path: string
  /** The address of the connection; null for a call within the process. */
  address: () => string | null
  /** The problem of a body that cannot be read, or that has invalid text in it. Only an allowed caller gets it. */
  bodyProblem?: Problem
  /** Set by the guard: an anonymous caller until the credential is checked. */
  caller?: Caller
  /** The gate of the module that the route names. */
  gate?: ModuleGate
  /** The code of the problem that the request ends with. */
  problemCode?: string
  /** Whether the request is logged and counted already. */
  isLogged?: boolean
}

/**
 * Types the context of a hook as one that holds the request's state. Returns the hook itself, because the framework reads
 * the source of a hook to find out which parts of a request it has to parse.
 */
export function withState<Context, Result>(
  hook: (context: Context & RequestState) => Result,
): (context: Context) => Result {
  return hook as (context: Context) => Result
}
