import type { Access } from '../../access/access.ts'
import { type AppAccess, type ScopeAccess, scopesIn, userScopesIn } from '../../access/scopes.ts'

/** The credentials of the API, as OpenAPI names them. */
export const SECURITY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'An access token' },
  clientSecret: { type: 'http', scheme: 'basic', description: 'The id and the secret of a client (RFC 6749, 2.3.1)' },
  operatorKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The operator key' },
  internalKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The internal key' },
  metricsKey: {
    type: 'apiKey',
    in: 'header',
    name: 'x-api-key',
    description: 'The key for metrics, which opens nothing else',
  },
  scraper: { type: 'http', scheme: 'bearer', description: 'The key for metrics, or the operator key, as a Bearer' },
}

type Kind = Exclude<Access[number], AppAccess | ScopeAccess>

const CALLERS: Record<Kind, string> = {
  anyone: 'anyone',
  // `ch202 package` publishes the operations whose description has these words.
  user: 'users, with their access token',
  operator: 'operators, with the operator key or an access token with the role ADMIN',
  support:
    'support persons, with an access token with the role `SUPPORT_ROLE`, about a user without that role and ADMIN',
  internal: 'the other services, with the internal key',
  scraper: 'Prometheus, with the key for metrics, in the header or as a Bearer, or with the operator key as a Bearer',
  client: 'clients, which authenticate in the request as at `/oauth/token`, with the scope',
  holder: 'holders of a valid refresh token, even if the access token beside it is invalid',
}

/**
 * Describes who may call an operation. The security schemes cannot: a Bearer may have to be an administrator's.
 * @param module the id of the module that users need, if any
 */
export function describeCallers(access: Access, module: string | undefined): string {
  const needed = module === undefined ? '' : ` The module \`${module}\` must be on for the user.`
  const callers = [
    ...access.filter(isKind).map((caller) => CALLERS[caller]),
    ...scopesIn(access).map((scope) => `clients, with a token with the scope \`${scope}\``),
    ...userScopesIn(access).map((scope) => `apps, with a token of a user who gave them the scope \`${scope}\``),
  ]
  return `For ${callers.join('; or ')}.${needed}`
}

function isKind(caller: Access[number]): caller is Kind {
  return Object.hasOwn(CALLERS, caller)
}

/** The alternative credentials of an operation; the empty one stands for none. */
export function securityOf(access: Access): Record<string, string[]>[] {
  const alternatives: Record<string, string[]>[] = []
  if (access.includes('anyone')) alternatives.push({})
  const takesToken =
    access.includes('user') || access.includes('operator') || [...scopesIn(access), ...userScopesIn(access)].length > 0
  if (takesToken) alternatives.push({ bearer: [] })
  if (access.includes('operator')) alternatives.push({ operatorKey: [] })
  if (access.includes('client')) alternatives.push({ clientSecret: [] })
  if (access.includes('internal')) alternatives.push({ internalKey: [] })
  if (access.includes('scraper')) alternatives.push({ metricsKey: [] }, { scraper: [] })
  return alternatives
}
