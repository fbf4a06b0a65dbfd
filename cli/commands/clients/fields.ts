import { type Command, InvalidArgumentError, Option } from 'commander'
import { TOKEN_ALGS } from '../../../services/kit/tokens/algorithms.ts'
import { collect } from '../../tool/command.ts'
import { withoutUndefined } from '../../without-undefined.ts'
import type { ClientBody } from './client.ts'

type Grant = NonNullable<ClientBody['grant_types']>[number]
type AuthMethod = NonNullable<ClientBody['token_auth_method']>
type IdTokenAlg = NonNullable<ClientBody['id_token_alg']>

/** Whether each is one: the compiler refuses a missing one. */
const GRANTS: Record<Grant, true> = { authorization_code: true, refresh_token: true, client_credentials: true }
const AUTH_METHODS: Record<AuthMethod, true> = {
  none: true,
  client_secret_basic: true,
  client_secret_post: true,
  private_key_jwt: true,
}

/** The options of `clients create` and `clients update`. False: an option such as `--no-scope`. */
export interface ClientFields {
  redirectUri?: string[] | false
  postLogoutRedirectUri?: string[] | false
  backchannelLogoutUri?: string | false
  scope?: string[] | false
  resource?: string[] | false
  grant?: Grant[]
  authMethod?: AuthMethod
  jwksUri?: string | false
  idTokenAlg?: IdTokenAlg
  firstParty?: boolean
  pkce?: boolean
  status?: 'active' | 'disabled'
}

/** Adds the options that `create` and `update` share. */
export function withFieldOptions(command: Command): Command {
  return command
    .option('--redirect-uri <address>', 'where users return to after they signed in; can be repeated', collect)
    .option(
      '--post-logout-redirect-uri <address>',
      'where users return to after they signed out; can be repeated',
      collect,
    )
    .option('--backchannel-logout-uri <address>', 'where Ch202 reports the end of a session')
    .option('--scope <scopes>', 'the scopes it may ask for, separated by commas; can be repeated', collectScopes)
    .option('--resource <address>', 'a service that it may get tokens for (RFC 8707); can be repeated', collect)
    .addOption(listOption('--grant <grant>', 'how it gets tokens; can be repeated', Object.keys(GRANTS)))
    .addOption(new Option('--auth-method <method>', 'how it authenticates').choices(Object.keys(AUTH_METHODS)))
    .option('--jwks-uri <address>', 'where its public keys are, for private_key_jwt')
    .addOption(new Option('--id-token-alg <alg>', 'the algorithm that signs its ID tokens').choices(TOKEN_ALGS))
    .option('--first-party', 'it is one of your own: users are not asked for their consent')
}

/** The fields of a request that the options set; a field without an option is missing. */
export function requestBodyOf(options: ClientFields): Omit<ClientBody, 'kind' | 'name'> {
  const { authMethod, backchannelLogoutUri, firstParty, grant, idTokenAlg, jwksUri, pkce, status } = options
  return withoutUndefined({
    redirect_uris: listOf(options.redirectUri),
    post_logout_redirect_uris: listOf(options.postLogoutRedirectUri),
    backchannel_logout_uri: backchannelLogoutUri === false ? null : backchannelLogoutUri,
    scopes: listOf(options.scope),
    resources: listOf(options.resource),
    grant_types: grant,
    token_auth_method: authMethod,
    jwks_uri: jwksUri === false ? null : jwksUri,
    id_token_alg: idTokenAlg,
    first_party: firstParty,
    require_pkce: pkce,
    status,
  })
}

function listOf(values: string[] | false | undefined): string[] | undefined {
  return values === false ? [] : values
}

/** OAuth separates scopes by spaces: both forms are accepted. */
function collectScopes(value: string, before: string[] | false = []): string[] {
  return [...(before || []), ...value.split(/[\s,]+/).filter(Boolean)]
}

/** An option that can be repeated, with these values only. */
function listOption(flags: string, description: string, values: readonly string[]): Option {
  const option = new Option(flags, description).choices(values)
  return option.argParser((value: string, before: string[] = []) => {
    if (!values.includes(value)) throw new InvalidArgumentError(`Allowed choices are ${values.join(', ')}.`)
    return [...before, value]
  })
}
