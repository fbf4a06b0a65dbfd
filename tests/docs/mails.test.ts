import { expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { mailTexts } from '../../services/auth/mail/texts/texts.ts'

const DOCS = join(import.meta.dir, '../../docs')
const PAGE = readFileSync(join(DOCS, 'mails.md'), 'utf8')

test('the own texts of the page are valid, and have every value', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'ch202-'))
  try {
    const files = [...PAGE.matchAll(/`(mails\/\w+\/[\w.]+)`:\n\n```\w+\n([\s\S]*?)```/g)]
    for (const [, path = '', content = ''] of files) {
      mkdirSync(dirname(join(dataDir, path)), { recursive: true })
      writeFileSync(join(dataDir, path), content)
    }
    expect(files).toHaveLength(3)
    const texts = mailTexts({
      productName: 'Acme',
      brandColor: '#1f6feb',
      supportEmail: undefined,
      locale: 'en',
      dataDir,
      publicUrl: 'https://app.example.org',
    })
    const { html, subject, text } = texts.render('device', 'en', texts.sample('device'))
    expect(subject).toBe('Acme: confirm your sign-in')
    for (const form of [text, html]) {
      expect(form).toContain('123456')
      expect(form).toContain(
        'It works until 20\u00a0November 2026, 10:10\u00a0UTC.'.replaceAll('\u00a0', form === text ? ' ' : '\u00a0'),
      )
    }
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})

test('the page shows every picture in the folder', () => {
  const pictures = [...PAGE.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, path = '']) => path)
  expect(pictures.filter((path) => !existsSync(join(DOCS, path)))).toEqual([])
  expect(pictures.toSorted()).toEqual(
    readdirSync(join(DOCS, 'mails'))
      .map((name) => `mails/${name}`)
      .toSorted(),
  )
})
