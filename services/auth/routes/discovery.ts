import { type Context, Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { hasCredential } from '../../kit/messages/response-headers.ts'
import { jwksMaxAge } from '../keys/schedule.ts'
import { serverMetadata } from '../oauth/metadata.ts'
import { jwks, metadata } from '../schemas/discovery.ts'
import type { AuthServices } from './auth-services.ts'

/** `/.well-known/…`: the keys and the metadata. */
export function discoveryRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const publicMetadata = ({ request, set }: Pick<Context, 'request' | 'set'>) => {
    if (!hasCredential(request)) set.headers['cache-control'] = 'public, max-age=60'
    return serverMetadata(context)
  }
  return new Elysia({ normalize: false })
    .use(guarded)
    .get(
      '/.well-known/jwks.json',
      ({ request, set }) => {
        if (!hasCredential(request)) set.headers['cache-control'] = `public, max-age=${jwksMaxAge(context.config)}`
        return { keys: context.keyRing.jwks() }
      },
      {
        auth: ['anyone'],
        response: jwks,
        detail: operation('discovery', {
          summary: 'List the public keys',
          description: 'The JSON Web Key Set that access tokens are verified with (RFC 7517).',
        }),
      },
    )
    .get('/.well-known/oauth-authorization-server', publicMetadata, {
      auth: ['anyone'],
      response: metadata,
      detail: operation('discovery', {
        summary: 'Get the server metadata',
        description: 'The issuer and the endpoints (RFC 8414), and the base addresses of the services.',
      }),
    })
    .get('/.well-known/openid-configuration', publicMetadata, {
      auth: ['anyone'],
      response: metadata,
      detail: operation('discovery', {
        summary: 'Get the configuration of OpenID Connect',
        description: 'The same as the server metadata, where clients of OpenID Connect look (Discovery, 4).',
      }),
    })
}
