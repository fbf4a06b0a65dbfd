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
  const made = group('new', 'Write what a growing platform needs into a checkout of the sources')
  addCommand(made, 'service', 'Write a service with one resource, owned by users, and its tests', [
    'ch202 new service products --dry-run',
    'ch202 new service people --item person --dry-run -o json',
  ])
    .argument('<name>', 'the name of the service and of what it keeps, in the plural')
    .option('--item <word>', 'what one of them is called (default: the name without its s)')
    .option('--dry-run', 'say what would be written, and write nothing')
    .option('--remove', 'take out what was written, where nothing of it was changed')
    .action(withTool(service))
  return made
}

async function service({ out }: Tool, { dryRun = false, item, remove = false }: Options, name: string): Promise<void> {
  const [{ checkoutHere, newNames }, { additions, itemOf, removals }, { singular }, { apply, takeBack }] =
    await Promise.all([import('./checkout.ts'), import('./service.ts'), import('./names.ts'), import('./changes.ts')])
  const root = checkoutHere()
  if (attempt(() => takeBack(root))) out.say('What a run that was killed had left half done was taken back')
  const changes = remove
    ? removals(root, { many: name, one: item ?? itemOf(root, name) ?? singular(name) })
    : additions(root, newNames(root, name, item))
  if (!dryRun) attempt(() => apply(root, changes))
  const files = changes.map((change) => ({ state: stateOf(change), path: change.path, changed: !dryRun }))
  await out.list(files, ['state', 'path'])
  if (dryRun) out.say('Nothing was written')
  else if (!remove) out.say(`→ bun test services/${name} db/${name}\n→ ch202 migrate\n→ ch202 start`)
}

function stateOf({ after, before }: Change): string {
  return before === null ? 'written' : after === null ? 'removed' : 'changed'
}

function attempt<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { message } = error as Error
    throw new Failure(EXIT.failed, `Nothing was written: ${reasonOf(error) ?? message}`, { code: 'not_written' })
  }
}
