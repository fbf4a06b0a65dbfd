import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { hasCredential } from '../../kit/messages/response-headers.ts'
import { jwksMaxAge } from '../keys/schedule.ts'
import { serverMetadata } from '../oauth/metadata.ts'
import { jwks, metadata } from '../schemas/discovery.ts'
import type { AuthServices } from './auth-services.ts'

/** `/.well-known/jwks.json` and `/.well-known/oauth-authorization-server`. */
export function discoveryRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
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
    .get(
      '/.well-known/oauth-authorization-server',
      ({ request, set }) => {
        if (!hasCredential(request)) set.headers['cache-control'] = 'public, max-age=60'
        return serverMetadata(context)
      },
      {
        auth: ['anyone'],
        response: metadata,
        detail: operation('discovery', {
          summary: 'Get the server metadata',
          description: 'The issuer and the endpoints (RFC 8414), and the base addresses of the services.',
        }),
      },
    )
}
