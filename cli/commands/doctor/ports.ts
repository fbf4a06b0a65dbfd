import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { descriptorOf, SERVICE_NAMES, type ServiceName } from '../../../services/registry.ts'
import { isService } from '../../client/instance/probe.ts'
import { nameOf } from '../../client/instance/process.ts'
import { type Check, type DoctorContext, failed, ok, skipped, warning } from './check.ts'

export const portsChecks: Check[] = [
  {
    id: 'ports.free',
    describes: 'the addresses of services that are not running are free',
    async run(context) {
      const { config } = context
      if (!config) return skipped('The settings are not valid')
      const up = (await context.services()).filter(({ health }) => health !== undefined)
      const names = up.map(({ running }) => running.service)
      const down = SERVICE_NAMES.filter((service) => !names.includes(service))
      if (down.length === 0) return ok('Every service is listening')
      const { listen } = config
      const results = await Promise.all(down.map(async (service) => portProblem(service, listen[service])))
      const faults = results.filter((fault) => fault !== undefined)
      if (faults.length > 0) return failed(faults.join('; '), 'ch202 ps')
      // `ch202 serve` needs this address too, unless a process per service runs already.
      const combined = up.length === 0 ? await portProblem('ch202 serve', config.listenAll) : undefined
      return combined === undefined
        ? ok(`Free: ${down.map((service) => listen[service]).join(', ')}`)
        : warning(combined, 'ch202 ps')
    },
  },
  {
    id: 'services.answer',
    describes: 'every registered service is running and healthy, with its database',
    async run(context) {
      const all = await context.services()
      if (all.length === 0) return skipped(`No service runs on ${context.dataDir}`)
      const crashedServices = all.filter(({ running }) => !running.process).map(({ running }) => running.service)
      const unhealthy = all.filter(({ health, running }) => running.process && !isService(running.service, health))
      if (unhealthy.length > 0)
        return failed(
          unhealthy.map(({ health, running }) => `${running.service}: ${healthProblem(health)}`).join('; '),
          'ch202 logs --level warn',
        )
      if (crashedServices.length > 0) return warning(`Ended unexpectedly: ${crashedServices.join(', ')}`, 'ch202 start')
      const missing = SERVICE_NAMES.filter(
        (service) => isExpected(service, context) && !all.some(({ running }) => running.service === service),
      )
      if (missing.length > 0) return warning(`Not running: ${missing.join(', ')}`, 'ch202 start')
      return ok('Every service is healthy')
    },
  },
  {
    id: 'services.version',
    describes: 'the services have the same version as the tool',
    async run(context) {
      const { version } = await import('../../../package.json')
      const up = (await context.services()).filter(({ health }) => health?.status === 200)
      if (up.length === 0) return skipped('No service responds')
      const others = up.filter(({ health }) => health?.body.version !== version)
      if (others.length === 0) return ok(`All have version ${version}`)
      const versions = others.map(({ health, running }) => `${running.service} is ${String(health?.body.version)}`)
      return warning(`The tool is ${version}, ${versions.join(', ')}: restart the services`, 'ch202 start')
    },
  },
]

/** Whether an installation lacks something without this service: with PUBLIC_URL the pages may be someone's own. */
function isExpected(service: ServiceName, { env }: DoctorContext): boolean {
  return descriptorOf(service).pagePaths === undefined || !env.PUBLIC_URL?.trim()
}

type Health = Awaited<ReturnType<DoctorContext['services']>>[number]['health']

function healthProblem(health: Health): string {
  if (health?.failure !== undefined) return health.failure
  if (health?.status === 200) return `another service, ${String(health.body.service)}, responds at its address`
  return `responds with ${String(health?.body.code ?? health?.status)}`
}

/** Why an address cannot be used; undefined if it is free. */
async function portProblem(owner: string, url: string): Promise<string | undefined> {
  const { hostname, port, protocol } = new URL(url)
  const number = Number(port || (protocol === 'https:' ? 443 : 80))
  const code = await tryListen(hostname.replace(/^\[|\]$/g, ''), number)
  // An address of another machine: its service listens there.
  if (code === undefined || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return undefined
  if (code !== 'EADDRINUSE') return `${url} (${owner}) cannot be used: ${code}`
  return `${url} (${owner}) is already in use${listenerOn(number)}`
}

function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** Names the process that listens on a port, if this user may see it. */
function listenerOn(port: number): string {
  const inodes = new Set(['tcp', 'tcp6'].flatMap((table) => socketsOn(port, table)))
  for (const pid of namesIn('/proc').filter((name) => /^\d+$/.test(name)))
    for (const file of namesIn(`/proc/${pid}/fd`)) {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${file}`)) ?? []
      if (inode !== undefined && inodes.has(inode)) return ` by ${nameOf(Number(pid)) ?? 'a process'} (process ${pid})`
    }
  return ''
}

/** Inodes of the sockets that listen on a port (proc_net_tcp(5), state 0A). */
function socketsOn(port: number, table: string): string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  try {
    return readFileSync(`/proc/net/${table}`, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => local?.endsWith(`:${hexPort}`) && state === '0A')
      .map((fields) => fields[9] ?? '')
  } catch {
    return []
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}
