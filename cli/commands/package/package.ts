import { join } from 'node:path'
import type { Row } from '../../terminal/table.ts'
import { write } from '../../terminal/terminal.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'

export function packageCommand() {
  const packaging = group('package', 'Build an executable, systemd units or a Caddyfile')
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
    ],
  )
    .option('--out <dir>', 'directory for the units, such as /etc/systemd/system (default: standard output)')
    .option('--user <name>', 'the user that the services run as', 'ch202')
    .option('--data-dir <path>', 'the data directory', '/var/lib/ch202')
    .option('--exec <path>', 'path of the executable', '/usr/local/bin/ch202')
    .action(withTool(systemd))
  addCommand(packaging, 'caddy', 'Write a Caddyfile that publishes only the public API, on one origin', [
    'ch202 package caddy --domain id.example.org',
    'ch202 package caddy --domain id.example.org --admin --url http://127.0.0.1:3000',
  ])
    .option('--out <file>', 'file to write (default: standard output)')
    .option('--domain <name>', 'the public host name', 'localhost')
    .option('--admin', 'publish the operators’ API too, so that `ch202 login` works from other machines')
    .action(withTool(caddy))
  return packaging
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
  dataDir: string
  exec: string
}

async function systemd(tool: Tool, { out, ...installation }: SystemdOptions): Promise<void> {
  const [{ systemdUnits }, { procfileLines }] = await Promise.all([
    import('./systemd.ts'),
    import('../../runner/procfile.ts'),
  ])
  const units = systemdUnits(procfileLines(), installation)
  await writeOrPrint(
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
  await writeOrPrint(tool, [{ path: out ?? 'Caddyfile', content }], out !== undefined)
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
