// Checks tokens with jose as it comes. Arguments: the JWKS and the issuer; a token a line, an answer a line.
import { createInterface } from 'node:readline'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [jwks, issuer] = process.argv.slice(2)
const keys = createRemoteJWKSet(new URL(jwks))

for await (const token of createInterface({ input: process.stdin })) {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: 'ch202',
      typ: 'at+jwt',
      algorithms: ['EdDSA'],
    })
    console.log(`ok ${payload.sub}`)
  } catch (error) {
    console.log(`refused ${error}`.replaceAll('\n', ' '))
  }
}
