import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/servers/ports.ts'
import type { Balancer } from './balancer.ts'

/** Starts Debian's Caddy as a balancer: each request to the next node. @param port to listen at @param directory for its files */
export async function startCaddy(port: number, directory: string): Promise<Balancer> {
  const home = join(directory, `caddy-${port}`)
  mkdirSync(home)
  const admin = `127.0.0.1:${freePort()}`
  const configuration = (nodes: readonly number[]) => `
    {
      admin ${admin}
      auto_https off
    }
    http://:${port} {
      bind 127.0.0.1
      ${nodes.length === 0 ? 'respond 503' : proxyTo(nodes)}
    }`
  const file = join(home, 'Caddyfile')
  writeFileSync(file, configuration([]))
  const child = Bun.spawn(['caddy', 'run', '--adapter', 'caddyfile', '--config', file], {
    cwd: home,
    // It stores each configuration in its home.
    env: { PATH: process.env.PATH ?? '', HOME: home },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: Bun.file(join(home, 'log')),
  })
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`Caddy ended: ${await Bun.file(join(home, 'log')).text()}`)
    return (await fetch(`http://127.0.0.1:${port}`).catch(() => undefined))?.status === 503
  })
  return {
    async use(nodes) {
      const answer = await fetch(`http://${admin}/load`, {
        method: 'POST',
        headers: { 'content-type': 'text/caddyfile' },
        body: configuration(nodes),
      })
      if (!answer.ok) throw new Error(`Caddy: ${await answer.text()}`)
    },
    async stop() {
      child.kill('SIGKILL')
      await child.exited
    },
  }
}

/** Connections that are refused are tried at the next node, and answers are passed on as they come. */
function proxyTo(nodes: readonly number[]): string {
  return `reverse_proxy ${nodes.map((node) => `127.0.0.1:${node}`).join(' ')} {
        lb_policy round_robin
        lb_try_duration 2s
        lb_try_interval 20ms
        flush_interval -1
        trusted_proxies 127.0.0.1/32
      }`
}
