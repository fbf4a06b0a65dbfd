import type { Command } from 'commander'
import { does, leaf, noun, type Tool } from '../command.ts'
import { endOfId } from '../refs.ts'
import { confirm } from '../terminal.ts'

const COLUMNS = ['kid', 'alg', 'created_at', 'status']

export function keysCommand(): Command {
  const keys = noun('keys', 'List, rotate and remove the keys that sign access tokens')

  leaf(keys, 'list', 'List the keys: the one that signs, and those whose tokens are still good', [
    'ch202 keys list',
    'ch202 keys list -o json --fields kid,status',
  ]).action(
    does(async (tool) => {
      await tool.out.list((await keysOf(tool)).items, COLUMNS)
    }),
  )

  leaf(keys, 'rotate', 'Sign with a new key; tokens of the old one stay good until they expire', [
    'ch202 keys rotate --yes',
    'ch202 keys rotate --yes -o ids',
  ]).action(does(rotate))

  leaf(keys, 'remove', 'Remove a key in an emergency: its access tokens are refused at once', [
    'ch202 keys remove 3f6a1b2c4d5e --confirm 3f6a1b2c4d5e',
    'ch202 keys remove 3f6a1b2c4d5e --yes -o json',
  ])
    .argument('<kid>', 'the id of the key; after --, where it begins as an option does')
    .option('--confirm <kid>', 'the id of the key, in place of --yes')
    // One in sixty-four begins with a dash, and is no option for that.
    .allowUnknownOption()
    .action(does(remove))

  return keys
}

async function keysOf(tool: Tool) {
  const api = await tool.api()
  return api.auth((auth) => auth.admin.keys.get())
}

async function rotate(tool: Tool): Promise<void> {
  await confirm('Sign with a new key from now on?', { yes: tool.globals.yes })
  const api = await tool.api()
  const key = await api.auth((auth) => auth.admin.keys.rotate.post())
  await tool.out.record({ ...key, changed: true })
}

async function remove(tool: Tool, { confirm: name }: { confirm?: string }, kid: string): Promise<void> {
  const end = endOfId(kid, 'ch202 keys list')
  if (end) throw end
  const key = (await keysOf(tool)).items.find((one) => one.kid === kid)
  if (!key) return gone(tool, kid)
  const next = key.status === 'active' ? ' It is the one that signs: a new one takes its place.' : ''
  await confirm(
    `Remove the key ${kid}? Every access token that it signed is refused at once; sessions go on with a refresh.${next}`,
    { yes: tool.globals.yes, confirm: name, name: kid },
  )
  const api = await tool.api()
  const problem = await api
    .auth((auth) => auth.admin.keys({ kid }).delete())
    .then(() => undefined)
    .catch((error: unknown) => error)
  // Someone else was quicker.
  if (problem && (await keysOf(tool)).items.some((one) => one.kid === kid)) throw problem
  if (problem) return gone(tool, kid)
  await tool.out.done(true, `The key ${kid} is out`, { kid })
}

function gone(tool: Tool, kid: string): Promise<void> {
  return tool.out.done(false, `There is no key ${kid}: nothing was removed`, { kid })
}
