import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { LOCALES } from '../../../kit/locale.ts'
import { ConfigError } from '../../../kit/process/config.ts'
import { MAIL_KINDS, type MailKind } from '../../store/index.ts'
import { mailTexts } from './texts.ts'

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'ch202-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

function write(files: Record<string, string | Uint8Array>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(dataDir, 'mails', name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
}

const SETTINGS = {
  productName: 'Acme & Sons',
  brandColor: '#1f6feb',
  supportEmail: 'help@example.org' as string | undefined,
  locale: 'en' as const,
  publicUrl: 'https://app.example.org',
}

const open = (more: Partial<typeof SETTINGS> = {}) => mailTexts({ ...SETTINGS, ...more, dataDir })

/** Opens the texts. @returns the faults */
function faultsOf(files: Record<string, string | Uint8Array>): readonly string[] {
  write(files)
  try {
    open()
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  return []
}

/** Both forms of a text. */
const both = (name: string, text: string) => ({ [`${name}.txt`]: text, [`${name}.html`]: `<p>${text}</p>` })

describe('own texts', () => {
  test('take the place of ours in their language, and only there', () => {
    const ours = open()
    write({
      'ru/device.subject.txt': '\ufeffКод для {{product}}\r\n',
      'ru/device.txt': '\ufeffВаш код: {{code}}\r\nдо {{ code_expires }}, {{device}}, {{where}}\r\n',
      'ru/device.html':
        '<!doctype html>\n<style>@media print{p{color:red}}</style>\n<b>{{code}}</b> <a href="{{site}}">{{product}}</a>',
    })
    const texts = open()
    expect(texts.render('device', 'ru', texts.sample('device'))).toEqual({
      subject: 'Код для Acme & Sons',
      text: 'Ваш код: 123456\nдо 20 ноября 2026 г., 10:10 UTC, Firefox, Linux, 203.0.113.24\n',
      html: '<!doctype html>\n<style>@media print{p{color:red}}</style>\n<b>123456</b> <a href="https://app.example.org">Acme &amp; Sons</a>',
    })
    for (const [kind, locale] of [
      ['device', 'en'],
      ['notice', 'ru'],
    ] as const)
      expect(texts.render(kind, locale, texts.sample(kind))).toEqual(ours.render(kind, locale, ours.sample(kind)))
  })

  test('may be a subject alone', () => {
    const { html, text } = open().render('email_code', 'en', open().sample('email_code'))
    write({ 'en/email_code.subject.txt': '{{code}} for {{product}}, from {{support}}' })
    const subject = '123456 for Acme & Sons, from help@example.org'
    expect(open().render('email_code', 'en', open().sample('email_code'))).toEqual({ subject, text, html })
  })

  test('do not exist: no folder, an empty folder, files of the system', () => {
    const ours = open().render('device', 'en', open().sample('device'))
    write({ '.DS_Store': 'x', 'en/.device.txt.swp': 'x', '.git/config': 'x' })
    expect(open().render('device', 'en', open().sample('device'))).toEqual(ours)
  })

  test('are read when the service starts, and not later', () => {
    write(both('en/device', 'First {{code}}'))
    const texts = open()
    write(both('en/device', 'Second {{code}}'))
    expect(texts.render('device', 'en', texts.sample('device')).text).toBe('First 123456')
  })

  test('have the values escaped in HTML, and a subject of one line', () => {
    write({
      ...both('en/invitation', '{{greeting}} {{email}} {{link}}'),
      'en/invitation.subject.txt': '{{greeting}}',
    })
    const name = `<b title="x">O'Neill\r\nBcc: all@example.org</b>`
    const { html, subject, text } = open().render('invitation', 'en', {
      ...open().sample('invitation'),
      name,
      link: 'https://app.example.org/?a=1&b="2"',
      email: '"<i>"@example.org',
    })
    expect(html).toBe(
      '<p>Hello &lt;b title=&quot;x&quot;&gt;O&#39;Neill Bcc: all@example.org&lt;/b&gt;, &quot;&lt;i&gt;&quot;@example.org https://app.example.org/?a=1&amp;b=&quot;2&quot;</p>',
    )
    expect(subject).toBe(`Hello <b title="x">O'Neill Bcc: all@example.org</b>,`)
    expect(text).toContain('https://app.example.org/?a=1&b="2"')
  })

  test('have advice with a link to undo a change, when there is one', () => {
    write(both('en/email_changed', 'Changed {{when}}. {{advice}}'))
    const texts = open()
    const { link, expiresAt, ...values } = texts.sample('email_changed')
    const undoable = texts.render('email_changed', 'en', { ...values, link, expiresAt } as typeof values)
    expect(undoable.text).toStartWith(
      `Changed 20 November 2026, 10:00 UTC. If it was not you, undo the change: ${link}. `,
    )
    expect(undoable.html).toContain(`undo the change: <a href="${link}">${link}</a>. The link works once, `)
    expect(texts.render('email_changed', 'en', values).html).toContain(
      'write to <a href="mailto:help@example.org">help@example.org</a> at once',
    )
  })

  test.each(LOCALES.flatMap((locale) => MAIL_KINDS.map((kind) => [locale, kind] as const)))(
    'in %s, %s: every placeholder that is listed has a value',
    (locale, kind) => {
      const names = open().placeholders(kind)
      expect(names.length).toBeGreaterThan(3)
      const lines = names.map(({ name }) => `${name}=[{{${name}}}]`).join('\n')
      const inSubject = names.filter(({ isForSubject }) => isForSubject).map(({ name }) => `[{{${name}}}]`)
      write({ ...both(`${locale}/${kind}`, lines), [`${locale}/${kind}.subject.txt`]: inSubject.join(' ') })
      const texts = open()
      const mail = texts.render(kind, locale, texts.sample(kind))
      expect(mail.text.split('\n')).toHaveLength(names.length)
      for (const form of [mail.text, mail.html, mail.subject])
        expect(form).not.toMatch(/\{\{|\}\}|\[\]|undefined|null|NaN/)
      expect(mail.subject).not.toMatch(/SAMPLE|https:\S+token/)
    },
  )
})

describe('faults of own texts', () => {
  const REQUIRED: Record<MailKind, string[]> = {
    password_reset: ['link'],
    email_verification: ['code', 'link'],
    email_code: ['code', 'link'],
    email_change: ['code', 'link'],
    email_changed: ['advice'],
    invitation: ['link'],
    device: ['code'],
    notice: ['what', 'advice'],
  }
  test.each(Object.entries(REQUIRED))('%s needs %p in both forms', (kind, names) => {
    expect(faultsOf(both(`en/${kind}`, 'Hello')).toSorted()).toEqual(
      names.flatMap((name) => ['html', 'txt'].map((end) => `mails/en/${kind}.${end} must have {{${name}}}`)).toSorted(),
    )
  })

  const NAMES_OF_DEVICE =
    '{{code}}, {{code_expires}}, {{when}}, {{where}}, {{device}}, {{product}}, {{site}}, {{support}}'
  const rows: [files: Record<string, string | Uint8Array>, fault: string][] = [
    [both('de/device', '{{code}}'), 'mails/de is unknown: the languages are en and ru'],
    [{ 'readme.md': 'x' }, 'mails/readme.md is unknown: the languages are en and ru'],
    [{ en: 'x' }, 'mails/en must be a folder'],
    [
      { 'en/device.txt~': 'x' },
      'mails/en/device.txt~ is unknown: a name is <kind>.subject.txt, <kind>.txt or <kind>.html',
    ],
    [{ 'en/device.md': 'x' }, 'mails/en/device.md is unknown: a name is <kind>.subject.txt, <kind>.txt or <kind>.html'],
    [{ 'en/subject.txt': 'x' }, `mails/en/subject.txt is unknown: the kinds are ${MAIL_KINDS.join(', ')}`],
    [{ 'en/welcome.html': 'x' }, `mails/en/welcome.html is unknown: the kinds are ${MAIL_KINDS.join(', ')}`],
    [
      { 'en/Device.subject.txt': 'x' },
      `mails/en/Device.subject.txt is unknown: the kinds are ${MAIL_KINDS.join(', ')}`,
    ],
    [{ 'en/device.txt/x': 'x', 'en/device.html': '{{code}}' }, 'mails/en/device.txt must be a file'],
    [{ 'en/device.txt': '{{code}}' }, 'mails/en/device.html is missing: a mail has a text and an HTML form'],
    [{ 'en/device.html': '{{code}}' }, 'mails/en/device.txt is missing: a mail has a text and an HTML form'],
    [
      { 'en/device.txt': '{{code}} {{link}}', 'en/device.html': '{{code}}' },
      `mails/en/device.txt has the unknown placeholder {{link}}: it may have ${NAMES_OF_DEVICE}`,
    ],
    [
      { 'en/device.txt': '{{code}}', 'en/device.html': '{{code}} {{ Code }}' },
      `mails/en/device.html has the unknown placeholder {{Code}}: it may have ${NAMES_OF_DEVICE}`,
    ],
    [
      { 'en/device.txt': '{{code}}', 'en/device.html': '{{code}} {{#if x}}' },
      `mails/en/device.html has the unknown placeholder {{#if x}}: it may have ${NAMES_OF_DEVICE}`,
    ],
    [
      { 'en/device.txt': '{{code}} {{}}', 'en/device.html': '{{code}}' },
      `mails/en/device.txt has the unknown placeholder {{}}: it may have ${NAMES_OF_DEVICE}`,
    ],
    [{ 'en/device.txt': '{{code}} {{when}', 'en/device.html': '{{code}}' }, 'mails/en/device.txt has {{ without }}'],
    [{ 'en/device.subject.txt': '{{code}}' }, 'mails/en/device.subject.txt must not have {{code}}, which is secret'],
    [
      { 'en/password_reset.subject.txt': 'Open {{link}}' },
      'mails/en/password_reset.subject.txt must not have {{link}}, which is secret',
    ],
    [{ 'en/device.subject.txt': 'one\ntwo' }, 'mails/en/device.subject.txt must be one line'],
    [{ 'en/device.subject.txt': ' \n' }, 'mails/en/device.subject.txt is empty'],
    [{ 'en/device.subject.txt': 'a\u0000b' }, 'mails/en/device.subject.txt must not contain control characters'],
    [{ 'en/device.subject.txt': new Uint8Array([0xcf, 0xf0, 0xe8]) }, 'mails/en/device.subject.txt must be UTF-8'],
  ]
  test.each(rows)('%j: %s', (files, fault) => {
    expect(faultsOf(files)).toEqual([fault])
  })

  test('a form that mail programs would cut', () => {
    const fault = 'mails/en/device.html must have at most 90 KiB: mail programs cut longer mails'
    const [most, more] = [90, 91].map((size) => '{{code}}'.padEnd(size * 1024))
    expect(faultsOf({ ...both('en/device', '{{code}}'), 'en/device.html': more ?? '' })).toEqual([fault])
    expect(faultsOf({ 'en/device.html': most ?? '' })).toEqual([])
  })

  test('{{support}} without SUPPORT_EMAIL', () => {
    write(both('ru/device', '{{code}} {{support}}'))
    expect(() => open({ supportEmail: undefined })).toThrow(
      'mails/ru/device.html has {{support}}, but SUPPORT_EMAIL is not set',
    )
  })

  test('a file that cannot be read', () => {
    write(both('en/device', '{{code}}'))
    // The superuser reads a file whatever its mode: a link to itself is what nobody can read.
    rmSync(join(dataDir, 'mails/en/device.txt'))
    symlinkSync('device.txt', join(dataDir, 'mails/en/device.txt'))
    expect(faultsOf({})).toContain('mails/en/device.txt cannot be read: ELOOP')
  })

  test('every fault of every file is in one message', () => {
    const faults = faultsOf({
      'de/device.txt': 'x',
      'en/hello.txt': 'x',
      'ru/notice.txt': '{{what}} {{code}}',
      'ru/notice.html': '{{advice}} {{name}}',
      'ru/device.subject.txt': '',
    })
    expect(faults.map((fault) => fault.replace(/:.*/, ''))).toEqual([
      'mails/de is unknown',
      'mails/en/hello.txt is unknown',
      'mails/ru/device.subject.txt is empty',
      'mails/ru/notice.html has the unknown placeholder {{name}}',
      'mails/ru/notice.html must have {{what}}',
      'mails/ru/notice.txt has the unknown placeholder {{code}}',
      'mails/ru/notice.txt must have {{advice}}',
    ])
    expect(() => open()).toThrow(/^The settings are not valid:\n( {2}- mails\/.*\n?){7}$/)
  })
})
