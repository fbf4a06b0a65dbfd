import { join } from 'node:path'
import { databaseUrlOf } from '../../client/settings.ts'
import { usage } from '../../exit.ts'
import { quoted } from '../../terminal/shell.ts'
import type { Row } from '../../terminal/table.ts'
import { write } from '../../terminal/terminal.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'

export function packageCommand() {
  const packaging = group(
    'package',
    'Build an executable, systemd units, a Caddyfile, an image, or files for Prometheus',
  )
  addCommand(packaging, 'binary', 'Build one executable that runs every command and every service', [
    'ch202 package binary',
    'ch202 package binary --out ./ch202 -o json',
  ])
    .option('--out <path>', 'path of the executable', './ch202')
    .action(withTool(binary))
  addCommand(
    packaging,
    'systemd',
    'Write a hardened unit for each line of the Procfile, and a target for all of them',
    [
      'ch202 package systemd',
      'ch202 package systemd --user ch202 --data-dir /var/lib/ch202 --exec /usr/local/bin/ch202',
      'DATABASE_URL=postgres://ch202@127.0.0.1:5432/ch202 ch202 package systemd --host 10.0.0.1',
    ],
  )
    .option('--out <dir>', 'directory for the units, such as /etc/systemd/system (default: standard output)')
    .option('--user <name>', 'the user that the services run as', 'ch202')
    .option('--data-dir <path>', 'the data directory (default: /var/lib/ch202; with a DATABASE_URL /run/ch202)')
    .option('--exec <path>', 'path of the executable', '/usr/local/bin/ch202')
    .option(
      '--host <name>',
      'the address of this machine if several have nodes: the services listen there; needs a DATABASE_URL',
    )
    .option(
      '--node-name <name>',
      'the name of this machine’s nodes, with a DATABASE_URL (default: the name of the host)',
    )
    .option('--no-backups', 'leave out the timers that back up and verify; a DATABASE_URL has none')
    .action(withTool(systemd))
  addCommand(packaging, 'caddy', 'Write a Caddyfile that publishes only the public API and the pages, on one origin', [
    'ch202 package caddy --domain id.example.org',
    'ch202 package caddy --domain id.example.org --admin --url http://127.0.0.1:3000',
    'DATABASE_URL=postgres://ch202@127.0.0.1:5432/ch202 ch202 package caddy --hosts 10.0.0.1,10.0.0.2,10.0.0.3',
  ])
    .option('--out <file>', 'file to write (default: standard output)')
    .option('--domain <name>', 'the public host name', 'localhost')
    .option('--hosts <names>', 'the machines with nodes of every service, separated by commas; needs a DATABASE_URL')
    .option('--admin', 'publish the operators’ API too, so that `ch202 login` works from other machines')
    .option('--no-pages', 'leave out the pages, if your product has its own')
    .action(withTool(caddy))
  addCommand(packaging, 'docker', 'Write a directory with the executable, a Dockerfile and Compose files', [
    'ch202 package docker',
    'ch202 package docker --out ./image -o json',
  ])
    .option('--out <dir>', 'directory to write', './docker')
    .action(withTool(docker))
  addCommand(packaging, 'prometheus', 'Write a scrape configuration, alerting rules and a dashboard for Grafana', [
    'ch202 package prometheus',
    'ch202 package prometheus --out ./monitoring --url http://127.0.0.1:3000',
    'DATABASE_URL=postgres://ch202@127.0.0.1:5432/ch202 ch202 package prometheus --hosts 10.0.0.1,10.0.0.2',
  ])
    .option('--out <dir>', 'directory for the files, such as /etc/prometheus (default: standard output)')
    .option('--hosts <names>', 'the machines with nodes of every service, separated by commas; needs a DATABASE_URL')
    .option(
      '--key-file <path>',
      'the file with METRICS_API_KEY, on the machine of Prometheus',
      '/etc/prometheus/ch202-metrics-key',
    )
    .action(withTool(prometheus))
  return packaging
}

async function docker({ out }: Tool, options: { out: string }): Promise<void> {
  const { packageDocker } = await import('./docker.ts')
  const { changed, paths } = await packageDocker(options.out)
  await out.done(changed, changed ? `Wrote ${options.out}` : `${options.out} is already up to date`, { paths })
  out.say(`→ docker build --tag ch202 ${quoted(options.out)}`)
}

async function binary({ out }: Tool, options: { out: string }): Promise<void> {
  const { packageBinary } = await import('./binary.ts')
  const changed = await packageBinary(options.out)
  await out.done(changed, changed ? `Built ${options.out}` : `${options.out} is already up to date`, {
    path: options.out,
  })
}

interface SystemdOptions {
  out?: string
  user: string
  dataDir?: string
  exec: string
  backups: boolean
  host?: string
  nodeName?: string
}

async function systemd(tool: Tool, { dataDir, host, nodeName, out, ...options }: SystemdOptions): Promise<void> {
  const [{ systemdUnits }, { procfileLines }] = await Promise.all([
    import('./systemd.ts'),
    import('../../runner/procfile.ts'),
  ])
  const databaseUrl = databaseUrlOf(tool.env)
  if (databaseUrl === undefined && (host ?? nodeName) !== undefined) throw withoutDatabase()
  const { checkedHost, listenOn } = await import('./nodes.ts')
  const machine = host === undefined ? undefined : checkedHost(host, '--host')
  const units = systemdUnits(procfileLines(), {
    ...options,
    databaseUrl,
    nodeName,
    listens: (command) => (machine === undefined ? undefined : listenOn(machine, command, tool.env)),
    dataDir: dataDir ?? (databaseUrl === undefined ? '/var/lib/ch202' : '/run/ch202'),
  })
  await writeOrPrint(
    tool,
    units.map(({ name, content }) => ({ path: join(out ?? '', name), content })),
    out !== undefined,
  )
}

interface CaddyOptions {
  out?: string
  domain: string
  hosts?: string
  admin?: boolean
  pages: boolean
}

async function caddy(tool: Tool, { admin = false, domain, hosts, out, pages }: CaddyOptions): Promise<void> {
  const [{ caddyfile, upstreamsOf }, { nodesOn }] = await Promise.all([import('./caddy.ts'), import('./nodes.ts')])
  const machines = await machinesOf(tool, hosts)
  const { url } = tool.globals
  const content = await caddyfile({
    domain,
    admin,
    pages,
    upstreams: upstreamsOf(url, tool.env),
    ...(machines && { nodes: nodesOn(machines, url, tool.env) }),
  })
  await writeOrPrint(tool, [{ path: out ?? 'Caddyfile', content }], out !== undefined)
}

interface PrometheusOptions {
  out?: string
  hosts?: string
  keyFile: string
}

async function prometheus(tool: Tool, { hosts, keyFile, out }: PrometheusOptions): Promise<void> {
  const [{ monitoringFiles }, { upstreamsOf }, { nodesOn }] = await Promise.all([
    import('./prometheus.ts'),
    import('./caddy.ts'),
    import('./nodes.ts'),
  ])
  const { url } = tool.globals
  const machines = await machinesOf(tool, hosts)
  const addresses = machines
    ? Object.values(nodesOn(machines, url, tool.env)).flat()
    : Object.values(upstreamsOf(url, tool.env))
  const files = monitoringFiles({ addresses, keyFile })
  await writeOrPrint(
    tool,
    files.map(({ content, name }) => ({ path: join(out ?? '', name), content })),
    out !== undefined,
  )
}

/**
 * The machines that an option lists; undefined: it does not.
 * @throws Failure if one is not valid, or several have no database that they share
 */
async function machinesOf(tool: Tool, hosts: string | undefined): Promise<string[] | undefined> {
  const { checkedHost } = await import('./nodes.ts')
  const machines = hosts?.split(',').map((host) => checkedHost(host.trim(), '--hosts'))
  if (machines !== undefined && machines.length > 1 && databaseUrlOf(tool.env) === undefined) throw withoutDatabase()
  return machines
}

function withoutDatabase() {
  return usage('Nodes on several machines share one PostgreSQL database: set DATABASE_URL, as the nodes do')
}

/** Writes texts to files, or to standard output, where several are preceded by their names. */
async function writeOrPrint(tool: Tool, files: { path: string; content: string }[], toFiles: boolean): Promise<void> {
  if (!toFiles) {
    const withNames = files.length > 1
    if (tool.out.json) await tool.out.list(files, ['path', 'content'])
    else
      await write(
        files.map(({ content, path }) => (withNames ? `# ${path}\n${content}` : content).trimEnd()).join('\n\n'),
      )
    return
  }
  const { replaceTextFile } = await import('./replace-file.ts')
  const results: Row[] = []
  for (const { content, path } of files) results.push({ path, changed: await replaceTextFile(path, content) })
  const changed = results.some((file) => file.changed)
  const paths = files.map(({ path }) => path)
  await tool.out.done(changed, `${paths.join(', ')}: ${changed ? 'written' : 'already up to date'}`, { paths })
}
