import { expect, test } from 'bun:test'
import { ClientAddress } from '../client-address.ts'
import { accessControl } from './access.ts'

const { anonymousCaller, identify } = accessControl({
  tokens: { check: () => ({ valid: false, reason: 'malformed' }) },
  internalKeys: ['the-internal-key'],
  operatorKeys: ['the-operator-key'],
  clientAddress: new ClientAddress(['127.0.0.1']),
})
const arrival = (key: string) => ({
  headers: new Headers({
    'x-api-key': key,
    'x-forwarded-for': '203.0.113.7',
    'user-agent': 'a client',
    'accept-language': 'de, ru-RU;q=0.8, en;q=0.5',
  }),
  requestId: 'a-request',
  address: () => '127.0.0.1',
})

test('a caller has the address, the user agent and the language of the request', async () => {
  for (const caller of [anonymousCaller(arrival('')), await identify(arrival('the-operator-key'), ['operator'])])
    expect([caller.ip, caller.userAgent, caller.locale, caller.requestId]).toEqual([
      '203.0.113.7',
      'a client',
      'ru',
      'a-request',
    ])
})

test('a service that calls has no address: only it knows that of the client', async () => {
  const caller = await identify(arrival('the-internal-key'), ['internal'])
  expect([caller.actor, caller.ip]).toEqual(['internal', null])
})
