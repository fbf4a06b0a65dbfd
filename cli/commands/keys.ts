import { type Command, Option } from 'commander'
import { TOKEN_ALGS, type TokenAlg } from '../../services/kit/token-algs.ts'
import { confirm } from '../terminal/confirm.ts'
import { toTheSecond } from '../terminal/times.ts'
import { addCommand, group, type Tool, withTool } from '../tool/command.ts'
import { shortenedIdFailure } from '../tool/refs.ts'

const COLUMNS = ['kid', 'alg', 'created_at', 'status']

export function keysCommand(): Command {
  const keys = group('keys', 'List, rotate and remove the signing keys of tokens')

  addCommand(keys, 'list', 'List the signing keys: pending, active, and retiring ones whose tokens are still valid', [
    'ch202 keys list',
    'ch202 keys list -o json --fields kid,status',
  ]).action(
    withTool(async (tool) => {
      await tool.out.list((await keysOf(tool)).items, COLUMNS)
    }),
  )

  addCommand(
    keys,
    'rotate',
    'Publish a new key, which becomes active after SIGNING_KEY_LEAD; existing tokens stay valid',
    ['ch202 keys rotate --yes', 'ch202 keys rotate --alg RS256 --yes', 'ch202 keys rotate --now --yes -o ids'],
  )
    .option('--now', 'for emergencies: activate the key at once; other verifiers may refuse new tokens for a while')
    .addOption(
      new Option('--alg <algorithm>', 'the algorithm of the key, if clients use others than TOKEN_ALG').choices(
        TOKEN_ALGS,
      ),
    )
    .action(withTool(rotate))

  addCommand(keys, 'remove', 'For emergencies: remove a key, so that its access tokens are refused at once', [
    'ch202 keys remove 3f6a1b2c4d5e --confirm 3f6a1b2c4d5e',
    'ch202 keys remove 3f6a1b2c4d5e --yes -o json',
  ])
    .argument('<kid>', 'the id of the key; put -- before an id that starts with a dash')
    .option('--confirm <kid>', 'the id of the key, instead of --yes')
    // One key id in 64 begins with a dash.
    .allowUnknownOption()
    .action(withTool(remove))

  return keys
}

async function keysOf(tool: Tool) {
  const api = await tool.api()
  return api.auth((auth) => auth.admin.keys.get())
}

/** The JWKS may be cached for 30 seconds, and common libraries wait up to 60 between two requests. */
const NOTICE =
  'Services that verify tokens with the JWKS refuse new tokens until they fetch it again, usually within 90 seconds'

async function rotate(tool: Tool, { alg, now = false }: { alg?: TokenAlg; now?: boolean }): Promise<void> {
  const question = now
    ? `Activate a new signing key now? ${NOTICE}.`
    : 'Publish a new key, which replaces the active key after SIGNING_KEY_LEAD?'
  await confirm(question, { yes: tool.globals.yes })
  const before = (await keysOf(tool)).items
  const api = await tool.api()
  let signsAt: string | null = null
  const key = await api.auth(async (auth) => {
    const answer = await auth.admin.keys.rotate.post(
      {},
      {
        query: { ...(now ? { now: 'true' as const } : {}), ...(alg === undefined ? {} : { alg }) },
      },
    )
    signsAt = answer.response?.headers.get('x-ch202-signs-at') ?? null
    return answer
  })
  const changed = key.status === 'active' || before.every(({ kid }) => kid !== key.kid)
  await tool.out.record({ ...key, changed })
  if (key.status === 'active') tool.out.say(now ? `✓ The key is active now. ${NOTICE}` : '✓ The key is active now')
  else tool.out.say(`${changed ? '✓ The key is' : 'The key was already'} published, and ${whenItSigns(signsAt)}`)
}

function whenItSigns(at: string | null): string {
  return at === null ? 'becomes active after SIGNING_KEY_LEAD' : `becomes active at ${toTheSecond(at)}`
}

const REFUSED = 'Its access tokens are refused at once; sessions continue after a refresh.'
const CONSEQUENCES = {
  pending: 'It has not signed any token yet; the active key stays.',
  active: `${REFUSED} It is the active key: the pending key, or a new one, replaces it at once. ${NOTICE}.`,
  retiring: REFUSED,
}

async function remove(tool: Tool, { confirm: name }: { confirm?: string }, kid: string): Promise<void> {
  const shortened = shortenedIdFailure(kid, 'ch202 keys list')
  if (shortened) throw shortened
  const key = (await keysOf(tool)).items.find((one) => one.kid === kid)
  if (!key) return nothingRemoved(tool, kid)
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
  // Another operator may have removed the key meanwhile.
  if (problem && (await keysOf(tool)).items.some((one) => one.kid === kid)) throw problem
  if (problem) return nothingRemoved(tool, kid)
  await tool.out.done(true, `Removed the key ${kid}`, { kid })
}

function nothingRemoved(tool: Tool, kid: string): Promise<void> {
  return tool.out.done(false, `There is no key ${kid}: nothing was removed`, { kid })
}
