import { join } from 'node:path'
import type { Row } from '../../terminal/table.ts'
import { write } from '../../terminal/terminal.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'

export function packageCommand() {
  const pack = group('package', 'Make what a machine runs: an executable, systemd units, a Caddyfile')
  addCommand(pack, 'binary', 'Build one executable that runs every command and every service', [
    'ch202 package binary',
    'ch202 package binary --out ./ch202 -o json',
  ])
    .option('--out <path>', 'where to put it', './ch202')
    .action(withTool(binary))
  addCommand(pack, 'systemd', 'Write a hardened unit for each line of the Procfile, and the target that wants them', [
    'ch202 package systemd',
    'ch202 package systemd --user ch202 --data-dir /var/lib/ch202 --exec /usr/local/bin/ch202',
  ])
    .option('--out <dir>', 'a directory to write them into, such as /etc/systemd/system (default: standard output)')
    .option('--user <name>', 'the account that they run as', 'ch202')
    .option('--data-dir <path>', 'where the data is', '/var/lib/ch202')
    .option('--exec <path>', 'where the executable is', '/usr/local/bin/ch202')
    .action(withTool(systemd))
  addCommand(pack, 'caddy', 'Write a Caddyfile that publishes what is public on one origin, and nothing else', [
    'ch202 package caddy --domain id.example.org',
    'ch202 package caddy --domain id.example.org --admin --url http://127.0.0.1:3000',
  ])
    .option('--out <file>', 'a file to write it into (default: standard output)')
    .option('--domain <name>', 'the name under which it is published', 'localhost')
    .option('--admin', 'publish what is for operators too: with it `ch202 login` works from elsewhere')
    .action(withTool(caddy))
  return pack
}

async function binary({ out }: Tool, options: { out: string }): Promise<void> {
  const { packageBinary } = await import('./binary.ts')
  const changed = await packageBinary(options.out)
  await out.done(changed, changed ? `${options.out} is made` : `${options.out} is the same already`, {
    path: options.out,
  })
}

interface SystemdOptions {
  out?: string
  user: string
  dataDir: string
  exec: string
}

async function systemd(tool: Tool, { out, ...installation }: SystemdOptions): Promise<void> {
  const [{ systemdUnits }, { procfileLines }] = await Promise.all([import('./systemd.ts'), import('./procfile.ts')])
  const units = systemdUnits(procfileLines(), installation)
  await hand(
    tool,
    units.map(({ name, content }) => ({ path: join(out ?? '', name), content })),
    out !== undefined,
  )
}

interface CaddyOptions {
  out?: string
  domain: string
  admin?: boolean
}

async function caddy(tool: Tool, { admin = false, domain, out }: CaddyOptions): Promise<void> {
  const { caddyfile, upstreamsOf } = await import('./caddy.ts')
  const content = await caddyfile({ domain, admin, upstreams: upstreamsOf(tool.globals.url, tool.env) })
  await hand(tool, [{ path: out ?? 'Caddyfile', content }], out !== undefined)
}

/** Texts, as files or on standard output: there more than one begin with their names. */
async function hand(tool: Tool, files: { path: string; content: string }[], placed: boolean): Promise<void> {
  if (!placed) {
    const names = files.length > 1
    if (tool.out.json) await tool.out.list(files, ['path', 'content'])
    else
      await write(files.map(({ content, path }) => (names ? `# ${path}\n${content}` : content).trimEnd()).join('\n\n'))
    return
  }
  const { placeText } = await import('./write.ts')
  const written: Row[] = []
  for (const { content, path } of files) written.push({ path, changed: await placeText(path, content) })
  const changed = written.some((file) => file.changed)
  const paths = files.map(({ path }) => path)
  await tool.out.done(changed, `${paths.join(', ')}: ${changed ? 'written' : 'the same already'}`, { paths })
}
