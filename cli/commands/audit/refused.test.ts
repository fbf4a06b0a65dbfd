import { expect, test } from 'bun:test'
import { refusal } from './refused.ts'

test('the suggested command quotes an email, which anyone may have registered with characters of the shell', () => {
  const refused = {
    at: '2026-11-20T10:00:00.000Z',
    code: 'rate_limited',
    paused: 'account',
    paused_until: new Date(Date.now() + 60_000).toISOString(),
    user_id: null,
    ip: null,
    request_id: '1',
  } as const
  const suggestionFor = (email: string) => refusal(refused, email).suggestion
  expect(suggestionFor('ana@example.org')).toBe('ch202 users send-reset ana@example.org')
  expect(suggestionFor('`reboot`@example.org')).toBe("ch202 users send-reset '`reboot`@example.org'")
})
