import type { Command } from 'commander'
import { confirm } from '../terminal/terminal.ts'
import { toTheSecond } from '../terminal/times.ts'
import { addCommand, group, type Tool, withTool } from '../tool/command.ts'
import { shortenedIdFailure } from '../tool/refs.ts'

const COLUMNS = ['kid', 'alg', 'created_at', 'status']

export function keysCommand(): Command {
  const keys = group('keys', 'List, rotate and remove the keys that sign access tokens')

  addCommand(
    keys,
    'list',
    'List the keys: the one that will sign, the one that signs, and those whose tokens are still good',
    ['ch202 keys list', 'ch202 keys list -o json --fields kid,status'],
  ).action(
    withTool(async (tool) => {
      await tool.out.list((await keysOf(tool)).items, COLUMNS)
    }),
  )

  addCommand(keys, 'rotate', 'Publish a new key, which signs after SIGNING_KEY_LEAD; tokens of the old one stay good', [
    'ch202 keys rotate --yes',
    'ch202 keys rotate --now --yes -o ids',
  ])
    .option('--now', 'sign at once, in an emergency: other verifiers may refuse new tokens for a while')
    .action(withTool(rotate))

  addCommand(keys, 'remove', 'Remove a key in an emergency: its access tokens are refused at once', [
    'ch202 keys remove 3f6a1b2c4d5e --confirm 3f6a1b2c4d5e',
    'ch202 keys remove 3f6a1b2c4d5e --yes -o json',
  ])
    .argument('<kid>', 'the id of the key; after --, where it begins as an option does')
    .option('--confirm <kid>', 'the id of the key, in place of --yes')
    // One in sixty-four begins with a dash, and is no option for that.
    .allowUnknownOption()
    .action(withTool(remove))

  return keys
}

async function keysOf(tool: Tool) {
  const api = await tool.api()
  return api.auth((auth) => auth.admin.keys.get())
}

/** The JWKS may be kept for 30 seconds, and common libraries pause for up to 60 between two look-ups. */
const COST =
  'Services that check tokens with the JWKS refuse new tokens until they fetch it again: for up to 90 seconds as a rule'

async function rotate(tool: Tool, { now = false }: { now?: boolean }): Promise<void> {
  const question = now
    ? `Sign with a new key from now on? ${COST}.`
    : 'Publish a new key, which takes the place of the one that signs after SIGNING_KEY_LEAD?'
  await confirm(question, { yes: tool.globals.yes })
  const pending = (await keysOf(tool)).items.find(({ status }) => status === 'pending')
  const api = await tool.api()
  let signsAt: string | null = null
  const key = await api.auth(async (auth) => {
    const answer = await auth.admin.keys.rotate.post({}, { query: now ? { now: 'true' } : {} })
    signsAt = answer.response?.headers.get('x-ch202-signs-at') ?? null
    return answer
  })
  const changed = key.status === 'active' || key.kid !== pending?.kid
  await tool.out.record({ ...key, changed })
  if (key.status === 'active')
    tool.out.say(now ? `✓ The key signs from now on. ${COST}` : '✓ The key signs from now on')
  else tool.out.say(`${changed ? '✓ The key is' : 'The key was already'} published, and ${whenItSigns(signsAt)}`)
}

function whenItSigns(at: string | null): string {
  return at === null ? 'signs when its lead is over' : `signs at ${toTheSecond(at)}`
}

const REFUSED = 'Every access token that it signed is refused at once; sessions go on with a refresh.'
const CONSEQUENCES = {
  pending: 'It has signed nothing yet: the key that signs goes on to do so.',
  active: `${REFUSED} It is the one that signs: the pending key, or else a new one, takes its place at once. ${COST}.`,
  retiring: REFUSED,
}

async function remove(tool: Tool, { confirm: name }: { confirm?: string }, kid: string): Promise<void> {
  const end = shortenedIdFailure(kid, 'ch202 keys list')
  if (end) throw end
  const key = (await keysOf(tool)).items.find((one) => one.kid === kid)
  if (!key) return gone(tool, kid)
  await confirm(`Remove the key ${kid}? ${CONSEQUENCES[key.status]}`, {
    yes: tool.globals.yes,
    confirm: name,
    name: kid,
  })
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
