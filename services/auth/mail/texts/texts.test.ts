import { describe, expect, test } from 'bun:test'
import { DAY, HOUR, MINUTE } from '../../../kit/clock.ts'
import { LOCALES, type Locale } from '../../../kit/locale.ts'
import type { MailKind } from '../../store/index.ts'
import { EVERY_MAIL, type MailText, type MailValues, mailTexts } from './texts.ts'

const SETTINGS = {
  productName: 'Acme Notes',
  brandColor: '#1f6feb',
  supportEmail: 'help@example.org',
  locale: 'en',
  dataDir: '/nonexistent',
  publicUrl: 'https://app.example.org',
} as const
const texts = mailTexts(SETTINGS)
const withoutSupport = mailTexts({ ...SETTINGS, supportEmail: undefined })

const AT = Date.parse('2026-11-20T10:00:00Z')
const IN_EACH_LOCALE = LOCALES.flatMap((locale) =>
  EVERY_MAIL.map(({ cause, kind, name }) => [locale, name, kind, cause ? { cause } : {}] as const),
)
const OF_EACH_LOCALE = <T>(en: T, ru: T): [Locale, T][] => [
  ['en', en],
  ['ru', ru],
]

/** The HTML as a reader sees it: one line, without tags. */
function shownIn(html: string): string {
  const body = html
    .slice(html.indexOf('<body'))
    .replaceAll(/<\/?(a|span)\b[^>]*>/g, '')
    .replaceAll(/<[^>]*>/g, ' ')
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
  return body.replaceAll(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? '').replaceAll(/\s+/g, ' ')
}

const render = (kind: MailKind, locale: Locale, more: MailValues = {}): MailText =>
  texts.render(kind, locale, { ...texts.sample(kind), ...more })

describe.each(IN_EACH_LOCALE)('in %s, %s', (locale, _, kind, more) => {
  const values = { ...texts.sample(kind), ...more }
  const mail = texts.render(kind, locale, values)
  const { html, subject, text } = mail

  test.each(['subject', 'text', 'html'] as const)('%s: nothing is left open', (form) => {
    expect(mail[form].trim()).not.toBe('')
    expect(mail[form]).not.toMatch(/\{\{|\}\}(?!\n<\/style>)|undefined|null|NaN|Invalid|\[object|Infinity/)
  })

  test('the text and the HTML say the same', () => {
    const page = shownIn(html)
    for (const sentence of text.slice(0, text.indexOf('\n--\n')).split(/\n\n|\n {4}/))
      for (const part of sentence.split(': ')) expect(page).toContain(part.trim().replaceAll(/\s+/g, ' '))
  })

  test('the link and the code are in both forms, each in one piece', () => {
    expect(text.split('\n').filter((line) => line === values.link)).toHaveLength(values.link === undefined ? 0 : 1)
    expect(html.split(`href="${values.link}"`)).toHaveLength(values.link === undefined ? 1 : 3)
    expect(shownIn(html).includes(` ${values.code} `)).toBe(values.code !== undefined)
    expect(text.includes(`\n    ${values.code}\n`)).toBe(values.code !== undefined)
  })

  test('the subject is one line that names the product, and has a code only if the code is all that the reader wants', () => {
    expect(subject).toContain('Acme Notes')
    expect(subject).toMatch(/^[^\n\r]{10,78}$/)
    expect(subject.includes('123456')).toBe(kind === 'email_code')
    expect(subject).not.toContain('SAMPLE')
  })

  test('lines of the text fit', () => {
    expect(text.split('\n').filter((line) => line.length > 72 && line !== values.link)).toEqual([])
    expect(text).not.toMatch(/[ \t]\n|\n{3}|\u00a0/)
  })

  test('the HTML names its language, and loads nothing', () => {
    expect(html).toStartWith(`<!doctype html>\n<html lang="${locale}" dir="ltr">`)
    expect(html).not.toMatch(/<(img|script|link|iframe|object|form|base)\b|url\(|src=|@import|@font-face|\son\w+=/i)
    const hrefs = [...html.matchAll(/href="([^"]*)"/g)].map(([, href]) => href)
    for (const href of hrefs)
      expect([values.link, 'https://app.example.org', 'mailto:help@example.org']).toContain(href)
  })

  test('the same values give the same mail', () => {
    expect(mailTexts(SETTINGS).render(kind, locale, { ...values })).toEqual(mail)
  })

  test('is complete without an address for support, an IP address, a device and a name', () => {
    const bare = withoutSupport.render(kind, locale, { ...values, ip: null, userAgent: null, name: null })
    for (const form of [bare.subject, bare.text, bare.html])
      expect(form).not.toMatch(/undefined|null|NaN|mailto|help@| ,|«»| {2}:|: \n/)
  })
})

describe('a language of mails', () => {
  const ENGLISH = /\b(the|your|code|link|address|hours?|minutes?|days?|unknown)\b/i
  test.each(IN_EACH_LOCALE)('%s: %s has words of that language only', (locale, _, kind, more) => {
    const { html, subject, text } = render(kind, locale, { name: null, ...more })
    // Links and addresses are in no language.
    const words = [subject, text, shownIn(html)].join('\n').replaceAll(/https?:\S+|\S+@\S+/g, '')
    expect(/\p{Script=Cyrillic}/u.test(words)).toBe(locale === 'ru')
    expect(ENGLISH.test(words)).toBe(locale === 'en')
  })

  test('the subjects are as they should be', () => {
    const subjects = (locale: Locale) => EVERY_MAIL.map(({ kind, ...more }) => render(kind, locale, more).subject)
    expect(subjects('en')).toEqual([
      'Reset your Acme Notes password',
      'Confirm your email address for Acme Notes',
      '123456 is your Acme Notes sign-in code',
      'Confirm your new email address for Acme Notes',
      'The email address of your Acme Notes account was changed',
      'You are invited to Acme Notes',
      'Confirm a sign-in to Acme Notes',
      'Your Acme Notes password was changed',
      'New email address of your Acme Notes account',
      'New sign-in to Acme Notes',
      'New second factor of your Acme Notes account',
      'A second factor of your Acme Notes account was removed',
      'New passkey of your Acme Notes account',
      'A passkey of your Acme Notes account was removed',
      'New recovery codes of your Acme Notes account',
      'A recovery code of your Acme Notes account was used',
      'The second factors of your Acme Notes account were removed',
    ])
    expect(subjects('ru')).toEqual([
      'Сброс пароля — Acme Notes',
      'Подтвердите адрес почты — Acme Notes',
      '123456 — код для входа (Acme Notes)',
      'Подтвердите новый адрес почты — Acme Notes',
      'Адрес почты изменён — Acme Notes',
      'Приглашение — Acme Notes',
      'Подтвердите вход — Acme Notes',
      'Пароль изменён — Acme Notes',
      'Новый адрес почты — Acme Notes',
      'Вход с нового устройства — Acme Notes',
      'Добавлен второй фактор — Acme Notes',
      'Второй фактор удалён — Acme Notes',
      'Новый ключ доступа — Acme Notes',
      'Ключ доступа удалён — Acme Notes',
      'Новые коды восстановления — Acme Notes',
      'Использован код восстановления — Acme Notes',
      'Вторые факторы удалены — Acme Notes',
    ])
  })
})

describe('how long a link works', () => {
  const rows: [ms: number, en: string, ru: string][] = [
    [MINUTE, '1 minute', '1 минуты'],
    [2 * MINUTE, '2 minutes', '2 минут'],
    [5 * MINUTE, '5 minutes', '5 минут'],
    [10 * MINUTE, '10 minutes', '10 минут'],
    [11 * MINUTE, '11 minutes', '11 минут'],
    [21 * MINUTE, '21 minutes', '21 минуты'],
    [22 * MINUTE, '22 minutes', '22 минут'],
    [30 * MINUTE, '30 minutes', '30 минут'],
    // The link was created a moment after its mail was requested.
    [30 * MINUTE + 25, '30 minutes', '30 минут'],
    [HOUR, '1 hour', '1 часа'],
    [90 * MINUTE, '90 minutes', '90 минут'],
    [101 * MINUTE, '101 minutes', '101 минуты'],
    [2 * HOUR, '2 hours', '2 часов'],
    [21 * HOUR, '21 hours', '21 часа'],
    [DAY, '24 hours', '24 часов'],
    [DAY + 25, '24 hours', '24 часов'],
    [2 * DAY, '2 days', '2 дней'],
    [7 * DAY, '7 days', '7 дней'],
    [21 * DAY, '21 days', '21 дня'],
    [111 * DAY, '111 days', '111 дней'],
  ]
  test.each(rows)('%i ms: %s, в течение %s', (ms, en, ru) => {
    const text = (locale: Locale) =>
      render('invitation', locale, { at: AT, expiresAt: AT + ms }).text.replaceAll('\n', ' ')
    expect(text('en')).toContain(`The link works once, for ${en} (until `)
    expect(text('ru')).toContain(`Ссылка одноразовая и действует в течение ${ru} (до `)
  })

  test.each([
    ...OF_EACH_LOCALE('until 10:30 UTC', 'до 10:30 UTC').map((row) => [30 * MINUTE, ...row] as const),
    ...OF_EACH_LOCALE('until 21 November 2026, 10:00 UTC', 'до 21 ноября 2026 г., 10:00 UTC').map(
      (row) => [DAY, ...row] as const,
    ),
  ])('%i ms, in %s: %s, in a zone that is named', (ms, locale, until) => {
    const { html, text } = render('password_reset', locale, { at: AT, expiresAt: AT + ms })
    expect(text.replaceAll('\n', ' ')).toContain(`(${until})`)
    expect(shownIn(html)).toContain(`(${until})`)
  })

  test.each(
    OF_EACH_LOCALE(
      'The link works once, until 20 November 2026, 10:30 UTC.',
      'действует до 20 ноября 2026 г., 10:30 UTC.',
    ),
  )('in %s, without the time of its creation: %s', (locale, sentence) => {
    const values = { link: 'https://app.example.org/x', expiresAt: AT + 30 * MINUTE }
    expect(texts.render('password_reset', locale, values).text.replaceAll('\n', ' ')).toContain(sentence)
  })

  test('a code and a link that end at different times say so', () => {
    expect(render('email_verification', 'en').text.replaceAll('\n', ' ')).toContain(
      'The code works for 10 minutes (until 10:10 UTC), the link for 24 hours (until 21 November 2026, 10:00 UTC).',
    )
    expect(render('email_change', 'ru').text.replaceAll('\n', ' ')).toContain(
      'Код действует в течение 10 минут (до 10:10 UTC), ссылка — в течение 1 часа (до 11:00 UTC).',
    )
  })
})

describe('hostile values', () => {
  const SCRIPT = `"><script>alert('x')</script>&amp;<a href=https://evil.example>`
  const hostile = mailTexts({ ...SETTINGS, productName: `Acme\r\nBcc: all@example.org\u2028${SCRIPT}` })

  test.each(IN_EACH_LOCALE)(
    'in %s, %s: a product, a name and a device with markup are text',
    (locale, _, kind, more) => {
      const { html, subject } = hostile.render(kind, locale, {
        ...hostile.sample(kind),
        ...more,
        name: SCRIPT,
        userAgent: SCRIPT,
        ip: SCRIPT,
        email: `${SCRIPT}@example.org`,
      })
      expect(html).not.toMatch(/<script|<a href=https|&amp;amp;(?!lt|amp)[^;]*<|alert\('/)
      expect(shownIn(html)).toContain(SCRIPT)
      expect(subject).not.toMatch(/\p{Cc}|\u2028/u)
      expect(subject).toContain('Acme Bcc: all@example.org ')
    },
  )

  test.each(IN_EACH_LOCALE)('in %s, %s: a link with every character is one attribute', (locale, _, kind, more) => {
    if (texts.sample(kind).link === undefined) return
    const link = `https://app.example.org/x?a=1&b="'<>`
    const { html, text } = render(kind, locale, { link, ...more })
    expect(text).toContain(`\n${link}\n`)
    expect(html.split('href="https://app.example.org/x?a=1&amp;b=&quot;&#39;&lt;&gt;"')).toHaveLength(3)
  })

  test.each([
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
      'Chrome, Windows',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0',
      'Edge, Windows',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15',
      'Safari, macOS',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
      'Safari, iPhone',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0 Mobile/15E148 Safari/604.1',
      'Chrome, iPhone',
    ],
    [
      'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36',
      'Chrome, Android',
    ],
    [
      'Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36',
      'Samsung Internet, Android',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 YaBrowser/24.12.0.0 Safari/537.36',
      'Yandex Browser, Windows',
    ],
    [
      'Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
      'Chrome, ChromeOS',
    ],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0', 'Firefox, Linux'],
    ['curl/8.5.0', 'curl'],
    ['Bun/1.4.5', 'Bun'],
    ['MyApp/3.1 (iPhone; iOS 18.1)', 'MyApp, iPhone'],
    ['Mozilla/5.0', 'unknown'],
    ['', 'unknown'],
    ['evil.example/1.0', 'unknown'],
    ['https://evil.example', 'unknown'],
    ['Call +1 555 0100 now', 'Call'],
    ['Windows of https://evil.example', 'Windows'],
    ['x'.repeat(31), 'unknown'],
  ])('the device %s is %s', (userAgent, device) => {
    expect(render('notice', 'en', { userAgent }).text).toContain(`    Device: ${device}\n`)
  })

  test('an address for support with the characters of a link is one address', () => {
    const { html } = mailTexts({ ...SETTINGS, supportEmail: "o'neill+a&b?c=d@example.org" }).render(
      'email_code',
      'en',
      texts.sample('email_code'),
    )
    expect(html).toContain('href="mailto:o&#39;neill%2Ba%26b%3Fc%3Dd@example.org"')
    expect(shownIn(html)).toContain("Write to o'neill+a&b?c=d@example.org.")
  })

  test.each([
    ['203.0.113.24', '203.0.113.24'],
    ['2001:db8::1', '2001:db8::1'],
    ['evil.example', 'unknown'],
  ])('the address %s is %s', (ip, where) => {
    expect(render('notice', 'en', { ip }).text).toContain(`    IP address: ${where}\n`)
  })

  // Anyone can register with another person's address and any name, and have a mail sent to them.
  test.each(IN_EACH_LOCALE.filter(([, , kind]) => kind !== 'invitation'))(
    'in %s, %s does not contain the name of the account',
    (locale, _, kind, more) => {
      expect(JSON.stringify(render(kind, locale, { ...more, name: 'Zaphod' }))).not.toContain('Zaphod')
    },
  )
})

describe('what a kind says', () => {
  test.each(OF_EACH_LOCALE('Hello Ana,', 'Здравствуйте, Ana!'))(
    'in %s, an invitation greets: %s',
    (locale, greeting) => {
      expect(render('invitation', locale).text).toStartWith(`${greeting}\n`)
      expect(shownIn(render('invitation', locale).html)).toContain(` ${greeting} `)
    },
  )
  test.each(OF_EACH_LOCALE('Hello,', 'Здравствуйте!'))('in %s, without a name: %s', (locale, greeting) => {
    for (const name of [null, '', ' \u202e '])
      expect(render('invitation', locale, { name }).text).toStartWith(`${greeting}\n`)
  })

  test.each(LOCALES)('in %s, the mail to the old address does not name the new one', (locale) => {
    const values = { ...texts.sample('email_changed'), email: 'new@example.net' }
    for (const link of [values.link, undefined])
      expect(JSON.stringify(texts.render('email_changed', locale, { ...values, link }))).not.toContain('new@')
  })
  test.each(OF_EACH_LOCALE('write to help@example.org at once', 'сразу напишите на help@example.org'))(
    'in %s, without a link to undo the change: %s',
    (locale, advice) => {
      const { link: _, expiresAt: __, ...values } = texts.sample('email_changed')
      const { html, text } = texts.render('email_changed', locale, values)
      expect(text.replaceAll('\n', ' ')).toContain(advice)
      expect(shownIn(html)).toContain(advice)
      expect(text).not.toMatch(/https|undo|отмен/i)
    },
  )

  test.each([
    ['password_reset', 'link', 'password_reset mail needs link'],
    ['password_reset', 'expiresAt', 'password_reset mail needs expiresAt'],
    ['email_verification', 'code', 'needs code'],
    ['email_code', 'codeExpiresAt', 'needs codeExpiresAt'],
    ['email_changed', 'at', 'needs at'],
    ['email_changed', 'expiresAt', 'needs expiresAt'],
    ['invitation', 'email', 'needs email'],
    ['device', 'code', 'needs code'],
    ['notice', 'cause', 'needs cause'],
  ] as const)('%s without %s is not written', (kind, name, message) => {
    const values = texts.sample(kind)
    delete values[name]
    expect(() => texts.render(kind, 'en', values)).toThrow(message)
  })

  test('a code without a link may have its end in `expiresAt`', () => {
    const { codeExpiresAt: expiresAt, ...values } = texts.sample('device')
    expect(texts.render('device', 'en', { ...values, expiresAt })).toEqual(render('device', 'en'))
  })
})
