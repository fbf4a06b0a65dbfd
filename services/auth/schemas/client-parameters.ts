import { t } from 'elysia'
import { notAllowed } from '../../kit/field-errors.ts'
import { checked, text } from '../../kit/schema/schema.ts'

/** A parameter of a form of OAuth. */
export const parameter = (description: string, example: string, most = 2000) => {
  const { check, ...documentation } = text({ most, description, examples: [example] })
  return t.Optional(checked<string>(documentation, (value) => (Array.isArray(value) ? REPEATED : check(value))))
}

export const REPEATED = notAllowed('must not be repeated')

export const CLIENT = '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'

/** The parameters by which a client authenticates (RFC 6749, 2.3.1; RFC 7521, 4.2). */
export const clientParameters = {
  client_id: parameter('The client', CLIENT, 100),
  client_secret: parameter('Its secret, unless it is in the header', 'a secret', 500),
  client_assertion: parameter('A JWT that the client signed (RFC 7523)', 'eyJhbGciOiJFUzI1NiJ9…', 8000),
  client_assertion_type: parameter(
    'The kind of the assertion',
    'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    100,
  ),
}
