import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { SERVICE_NAMES } from '../../../services/kit/services.ts'
import { isService } from '../../client/instance/probe.ts'
import { nameOf } from '../../client/instance/process.ts'
import { type Check, failed, ok, type Scene, skipped, warning } from './check.ts'

export const portsChecks: Check[] = [
  {
    id: 'ports.free',
    looksAt: 'the addresses of the services that do not run can be listened on',
    async look(scene) {
      const { config } = scene
      if (!config) return skipped('The settings are not valid')
      const up = (await scene.services()).filter(({ health }) => health !== undefined)
      const names = up.map(({ running }) => running.service)
      const down = SERVICE_NAMES.filter((place) => !names.includes(place))
      if (down.length === 0) return ok('Every service listens')
      const own = config.addresses
      const taken = await Promise.all(down.map(async (place) => tellTaken(place, own[place])))
      const faults = taken.filter((fault) => fault !== undefined)
      if (faults.length > 0) return failed(faults.join('; '), 'ch202 ps')
      // Where one process serves all; whoever starts three does not need it.
      const one = up.length === 0 ? await tellTaken('one process for all', config.url) : undefined
      return one === undefined ? ok(`Free: ${down.map((place) => own[place]).join(', ')}`) : warning(one, 'ch202 ps')
    },
  },
  {
    id: 'services.answer',
    looksAt: 'what wrote down that it runs is there and answers, its database too',
    async look(scene) {
      const all = await scene.services()
      if (all.length === 0) return skipped(`No service runs on ${scene.dataDir}`)
      const dead = all.filter(({ running }) => !running.process).map(({ running }) => running.service)
      const ill = all.filter(({ health, running }) => running.process && !isService(running.service, health))
      if (ill.length > 0)
        return failed(
          ill.map(({ health, running }) => `${running.service}: ${illness(health)}`).join('; '),
          'ch202 logs --level warn',
        )
      if (dead.length > 0) return warning(`Ended without a word: ${dead.join(', ')}`, 'ch202 start')
      const missing = SERVICE_NAMES.filter((place) => !all.some(({ running }) => running.service === place))
      if (missing.length > 0) return warning(`Not running beside the others: ${missing.join(', ')}`, 'ch202 start')
      return ok('Every service answers')
    },
  },
  {
    id: 'services.version',
    looksAt: 'the services are of the version of the tool',
    async look(scene) {
      const { version } = await import('../../../package.json')
      const up = (await scene.services()).filter(({ health }) => health?.status === 200)
      if (up.length === 0) return skipped('No service answers')
      const others = up.filter(({ health }) => health?.body.version !== version)
      if (others.length === 0) return ok(`All are of version ${version}`)
      const said = others.map(({ health, running }) => `${running.service} is ${String(health?.body.version)}`)
      return warning(
        `The tool is ${version}, ${said.join(', ')}: they run what was there when they began`,
        'ch202 start',
      )
    },
  },
]

type Health = Awaited<ReturnType<Scene['services']>>[number]['health']

function illness(health: Health): string {
  if (health?.failure !== undefined) return health.failure
  if (health?.status === 200) return `${String(health.body.service)} answers at its address`
  return `answers ${String(health?.body.code ?? health?.status)}`
}

/** Why an address can't be listened on; undefined where it can. */
async function tellTaken(whose: string, url: string): Promise<string | undefined> {
  const { hostname, port, protocol } = new URL(url)
  const number = Number(port || (protocol === 'https:' ? 443 : 80))
  const code = await listening(hostname.replace(/^\[|\]$/g, ''), number)
  // An address of another machine is where a service of it listens.
  if (code === undefined || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return undefined
  if (code !== 'EADDRINUSE') return `${url} (${whose}) can't be listened on: ${code}`
  return `${url} (${whose}) is taken${listenerOn(number)}`
}

function listening(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** Who listens on a port, as far as this user may see. */
function listenerOn(port: number): string {
  const inodes = new Set(['tcp', 'tcp6'].flatMap((table) => socketsOn(port, table)))
  for (const pid of namesIn('/proc').filter((name) => /^\d+$/.test(name)))
    for (const file of namesIn(`/proc/${pid}/fd`)) {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${file}`)) ?? []
      if (inode !== undefined && inodes.has(inode)) return ` by ${nameOf(Number(pid)) ?? 'a process'} (process ${pid})`
    }
  return ''
}

/** The inodes of the sockets that listen on a port (proc_net_tcp: state 0A). */
function socketsOn(port: number, table: string): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  try {
    return readFileSync(`/proc/net/${table}`, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => local?.endsWith(`:${wanted}`) && state === '0A')
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
