import type { TestUser } from '../support/actors.ts'
import { as } from '../support/http.ts'
import { type Machine, newMachine } from '../support/oauth/machines.ts'
import type { System } from '../support/system.ts'
import { type Foreign, proxyTo, runForeign, type ServiceProxy } from './foreign.ts'
import { install, programsOfThePage } from './installed.ts'

/** Milliseconds. Shorter than in the programs of docs/integrate/guard.md, for the tests' sake. */
export const MAX_LAG = 2000

/** A program of docs/integrate/guard.md that runs as a foreign service. Its connections to the instance can be cut. */
export interface GuardedProgram {
  foreign: Foreign
  toAuth: ServiceProxy
  toModules: ServiceProxy
  /** The client of the guard. */
  client: Machine
  /** Sends a request with a user's token. Returns the status of a success, or the code of a refusal. */
  statusOrCode(user: TestUser, path?: string): Promise<number | string>
  end(): Promise<void>
}

/** @param path a new directory @param beside packages to install there beside ours */
export async function startProgram(
  { url }: System,
  tarball: string,
  path: string,
  program: string,
  beside: string[],
): Promise<GuardedProgram> {
  const { write } = await install(tarball, path, beside)
  const [head, rest, ...more] = programsOfThePage()[program]?.split('createGuard({') ?? []
  if (head === undefined || rest === undefined || more.length > 0) throw new Error(`${program} makes one guard`)
  write(program, `${head}createGuard({ maxLag: ${MAX_LAG}, modulesUrl: process.env.MODULES_URL,${rest}`)
  const [toAuth, toModules] = [proxyTo(() => url.auth), proxyTo(() => url.modules)]
  const client = await newMachine({ url }, { scopes: ['introspect', 'modules:read'] }, 'without a token')
  const foreign = await runForeign(path, program, {
    AUTH_URL: toAuth.url,
    MODULES_URL: toModules.url,
    CLIENT_ID: client.id,
    CLIENT_SECRET: client.secret,
  })
  await toAuth.polled()
  return {
    foreign,
    toAuth,
    toModules,
    client,
    async statusOrCode({ tokens }, path = '/orders') {
      const { body, status } = await foreign.ask(`GET ${path}`, as.bearer(tokens.access_token))
      return status === 200 ? status : body.code
    },
    async end() {
      await foreign.stop()
      toAuth.stop()
      toModules.stop()
    },
  }
}
