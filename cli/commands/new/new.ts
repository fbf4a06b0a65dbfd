import { EXIT, Failure } from '../../exit.ts'
import { reasonOf } from '../../terminal/file-errors.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import type { Change } from './changes.ts'

interface Options {
  item?: string
  dryRun?: boolean
  remove?: boolean
}

export function newCommand() {
  const command = group('new', 'Write a new service into a checkout of the sources')
  addCommand(command, 'service', 'Write a service with one resource that users own, and its tests', [
    'ch202 new service products --dry-run',
    'ch202 new service people --item person --dry-run -o json',
  ])
    .argument('<name>', 'the name of the service and of the things that it stores, in the plural')
    .option('--item <word>', 'the name of one of the things (default: the name without its s)')
    .option('--dry-run', 'list the files that would change, and write nothing')
    .option('--remove', 'remove the service again, unless its files were changed')
    .action(withTool(service))
  return command
}

async function service({ out }: Tool, { dryRun = false, item, remove = false }: Options, name: string): Promise<void> {
  const [{ checkoutHere, newNames }, { additions, itemOf, removals }, { singular }, { apply, undoKilledRun }] =
    await Promise.all([import('./checkout.ts'), import('./service.ts'), import('./names.ts'), import('./changes.ts')])
  const root = checkoutHere()
  if (attempt(() => undoKilledRun(root))) out.say('Undid the changes of an earlier run that was killed')
  const changes = remove
    ? removals(root, { many: name, one: item ?? itemOf(root, name) ?? singular(name) })
    : additions(root, await newNames(root, name, item))
  if (!dryRun) attempt(() => apply(root, changes))
  const files = changes.map((change) => ({ state: stateOf(change), path: change.path, changed: !dryRun }))
  await out.list(files, ['state', 'path'])
  if (dryRun) out.say('Nothing was written')
  else if (!remove)
    out.say(`→ bun run docs\n→ bun test services/${name} tests/stores/${name}\n→ ch202 migrate\n→ ch202 start`)
}

function stateOf({ after, before }: Change): string {
  if (before === null) return 'written'
  return after === null ? 'removed' : 'changed'
}

function attempt<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { message } = error as Error
    throw new Failure(EXIT.failed, `Nothing was written: ${reasonOf(error) ?? message}`, { code: 'not_written' })
  }
}
