import { defaultAddress, LISTEN_ALL, listenSetting } from '../../../services/kit/process/service-address.ts'
import { ofEachService, SERVICE_NAMES, SERVICES, type ServiceName } from '../../../services/registry.ts'
import { VARIABLES } from '../../client/connection.ts'
import type { Environment } from '../../client/settings.ts'
import { usage } from '../../exit.ts'
import { toolArguments } from '../../runner/procfile.ts'

const HOST = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])$/i
/** The port of a process that runs every service. */
const DEFAULT_PORT = '3000'

/** @throws Failure if a name or address is not one of a machine */
export function checkedHost(host: string, flag: string): string {
  if (!HOST.test(host)) throw usage(`${flag} must be the name or address of a machine, such as 10.0.0.1`)
  return host
}

/**
 * The addresses of the nodes of each service on every machine.
 * @param shared one address for all services, in one process; undefined: each has its own
 */
export function nodesOn(
  hosts: readonly string[],
  shared: string | undefined,
  env: Environment,
): Record<ServiceName, string[]> {
  return ofEachService((name) => {
    const port = shared === undefined ? portOf(name, env) : portOfAll(shared, env)
    return hosts.map((host) => `http://${host}:${port}`)
  })
}

/** The setting that makes a line of the Procfile listen on a machine, such as `AUTH_LISTEN=10.0.0.1:3001`. */
export function listenOn(host: string, command: string, env: Environment): string | undefined {
  const [verb, ...names] = toolArguments(command)?.split(/\s+/) ?? []
  if (verb !== 'serve') return undefined
  const name = names.length === 1 ? SERVICE_NAMES.find((service) => service === names[0]) : undefined
  return name === undefined
    ? `${LISTEN_ALL}=${host}:${portOfAll(env.CH202_URL, env)}`
    : `${listenSetting(name)}=${host}:${portOf(name, env)}`
}

/** The port at which a service listens on every machine. */
function portOf(name: ServiceName, env: Environment): string {
  return (
    portIn(env[listenSetting(name)]) ?? portIn(env[VARIABLES[name]]) ?? new URL(defaultAddress(SERVICES[name])).port
  )
}

function portOfAll(address: string | undefined, env: Environment): string {
  return portIn(env[LISTEN_ALL]) ?? portIn(address) ?? DEFAULT_PORT
}

/** The port that an address names. */
function portIn(address: string | undefined): string | undefined {
  return /:(\d{1,5})\/*$/.exec(address?.trim() ?? '')?.[1]
}
