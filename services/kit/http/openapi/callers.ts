import type { Access } from '../../access/access.ts'

/** The credentials of the API, as OpenAPI names them. */
export const SECURITY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'An access token' },
  operatorKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The operator key' },
  internalKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The internal key' },
  scraper: { type: 'http', scheme: 'bearer', description: 'The operator key as a Bearer, as Prometheus sends it' },
}

const CALLERS: Record<Access[number], string> = {
  anyone: 'anyone',
  // `ch202 package` publishes the operations whose description has these words.
  user: 'users, with their access token',
  operator: 'operators, with the operator key or an access token with the role ADMIN',
  support:
    'support persons, with an access token with the role `SUPPORT_ROLE`, about a user without that role and ADMIN',
  internal: 'the other services, with the internal key',
  scraper: 'Prometheus, with the operator key as a Bearer',
  holder: 'holders of a valid refresh token, even if the access token beside it is invalid',
}

/**
 * Describes who may call an operation. The security schemes cannot: a Bearer may have to be an administrator's.
 * @param module the id of the module that users need, if any
 */
export function describeCallers(access: Access, module: string | undefined): string {
  const needed = module === undefined ? '' : ` The module \`${module}\` must be on for the user.`
  return `For ${access.map((caller) => CALLERS[caller]).join('; or ')}.${needed}`
}

/** The alternative credentials of an operation; the empty one stands for none. */
export function securityOf(access: Access): Record<string, string[]>[] {
  const alternatives: Record<string, string[]>[] = []
  if (access.includes('anyone')) alternatives.push({})
  if (access.includes('user') || access.includes('operator')) alternatives.push({ bearer: [] })
  if (access.includes('operator')) alternatives.push({ operatorKey: [] })
  if (access.includes('internal')) alternatives.push({ internalKey: [] })
  if (access.includes('scraper')) alternatives.push({ scraper: [] })
  return alternatives
}
