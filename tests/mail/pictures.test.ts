import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { BROWSER_TIMEOUT, openChromium } from '../support/browser/chromium.ts'
import { encodePng, noteOf } from '../support/browser/png.ts'
import { sliced } from '../support/whole.ts'
import { type SampleMail, sampleMails } from './mails.ts'

/**
 * Shows every mail in a browser. `CH202_WRITE_PICTURES=on` also writes what it shows to `docs/mails`, for the page
 * `docs/mails.md`; otherwise the files there must show the mails as they are now.
 */
const WRITES = process.env.CH202_WRITE_PICTURES === 'on'
const DIRECTORY = join(import.meta.dir, '../../docs/mails')
const UPDATE = 'CH202_WRITE_PICTURES=on bun test --timeout=120000 ./tests/mail/pictures.test.ts'

setDefaultTimeout(120_000)

interface Screen {
  width: number
  scheme: 'light' | 'dark'
}
const LIGHT: Screen = { width: 320, scheme: 'light' }
const DARK: Screen = { width: 320, scheme: 'dark' }
const WIDE: Screen = { width: 640, scheme: 'light' }
const SCREENS = [LIGHT, DARK, WIDE]
const LEAST_CONTRAST = 4.5

const IN_PAGE = readFileSync(join(import.meta.dir, 'in-page.js'), 'utf8')

let browser: Browser
let page: Page
beforeAll(async () => {
  browser = await openChromium()
  page = await browser.newPage({ offline: true })
  page.setDefaultTimeout(BROWSER_TIMEOUT)
}, BROWSER_TIMEOUT)
afterAll(() => browser?.close(), BROWSER_TIMEOUT)

/** Shows HTML on a screen, without a network. */
async function show(html: string, { scheme, width }: Screen): Promise<void> {
  await page.setViewportSize({ width, height: 480 })
  await page.emulateMedia({ colorScheme: scheme })
  await page.setContent(html)
}

/** Calls a function of `in-page.js`. */
const inPage = async <T>(name: string, ...args: unknown[]): Promise<T> =>
  (await page.evaluate(`${IN_PAGE};inMail.${name}(...${JSON.stringify(args)})`)) as T

interface Findings {
  /** The width of the page, which may be more than that of the window. */
  width: number
  /** Elements that stand out of the window. */
  outside: string[]
  /** Texts that are hard to read, with their contrast. */
  faint: string[]
}

async function findings(html: string, screen: Screen): Promise<Findings> {
  await show(html, screen)
  return await inPage('inspect', LEAST_CONTRAST, screen.scheme === 'dark' ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)')
}

const fine = ({ width }: Screen): Findings => ({ width, outside: [], faint: [] })

/** Checks each mail on a screen. */
async function expectAllFine(mails: SampleMail[], screen: Screen, change = (html: string) => html): Promise<void> {
  for (const { locale, mail, name } of mails)
    expect({ locale, name, ...(await findings(change(mail.html), screen)) }).toEqual({ locale, name, ...fine(screen) })
}

const withoutStyleSheet = (html: string) => html.replace(/<style>[\s\S]*<\/style>/, '')
/** Older rules apply then: tables inherit nothing. */
const withoutDocumentType = (html: string) => html.replace('<!doctype html>', '')

describe.each(SCREENS.map((screen) => [screen.width, screen.scheme, screen] as const))('%i px, %s', (_, __, screen) => {
  test.each(sliced(sampleMails(), 3).map((sample) => [sample.locale, sample.name, sample] as const))(
    'in %s, %s fits and is readable',
    async (_locale, _name, sample) => await expectAllFine([sample], screen),
  )

  test('with words that are longer than a line, every mail fits', async () => {
    const long = 'Donaudampfschifffahrtsgesellschaft'.repeat(2).slice(0, 60)
    const publicUrl = `https://${'a-long-label-of-a-host.'.repeat(6)}example.org`
    const supportEmail = `${'support-of-'.repeat(5)}us@${'a-long-label-of-a-host.'.repeat(4)}example.org`
    const more = {
      name: long.repeat(3),
      ip: '2001:0db8:85a3:08d3:1319:8a2e:0370:7344',
      userAgent: `${'W'.repeat(30)}/1`,
    }
    await expectAllFine(sampleMails({ productName: long, publicUrl, supportEmail }, more), screen)
  })

  test.each(['#1f6feb', '#ffffff', '#000000', '#ffe600', '#808080', '#1a2027', '#f1f3f5'])(
    'a button of the colour %s is readable, stands out from the card, and is large enough for a finger',
    async (brandColor) => {
      const [sample] = sampleMails({ brandColor }) as [SampleMail]
      await expectAllFine([sample], screen)
      const { background, border, height } =
        await inPage<Record<'background' | 'border' | 'height', string>>('readButton')
      expect(Number(height)).toBeGreaterThanOrEqual(44)
      const likeTheCard = screen.scheme === 'dark' ? ['#000000', '#1a2027'] : ['#ffffff', '#ffe600', '#f1f3f5']
      expect(border === `1px ${background}`).toBe(!likeTheCard.includes(brandColor))
    },
  )
})

describe('a mail program that', () => {
  test.each([
    ['ignores the style sheet', DARK, withoutStyleSheet],
    ['ignores the document type', DARK, withoutDocumentType],
    ['ignores both', DARK, (html: string) => withoutStyleSheet(withoutDocumentType(html))],
    ['ignores both, with a light screen', LIGHT, (html: string) => withoutStyleSheet(withoutDocumentType(html))],
  ])('%s shows every mail so that it fits and is readable', async (_, screen, change) => {
    await expectAllFine(sampleMails(), screen, change)
  })

  test('ignores every style shows a page that reads like the text', async () => {
    for (const { mail, values } of sampleMails()) {
      await show(withoutStyleSheet(mail.html).replaceAll(/ (style|class|bgcolor)="[^"]*"/g, ''), WIDE)
      const { links, text } = await inPage<{ links: string[]; text: string }>('readPage')
      const words = text.replaceAll(/\s+/g, ' ')
      const paragraphs = mail.text.slice(0, mail.text.indexOf('\n--\n')).split(/\n\n/)
      // Facts are a table in HTML.
      const places = paragraphs
        .filter((paragraph) => !/^ {4}.*: /.test(paragraph))
        .map((paragraph) => words.indexOf(paragraph.trim().replaceAll(/\s+/g, ' ')))
      expect(places).toEqual(places.toSorted((a, b) => a - b))
      expect(places[0]).toBeGreaterThan(0)
      expect(links.filter((href) => href === values.link)).toHaveLength(values.link ? 2 : 0)
    }
  })
})

test('one click selects the code, without spaces', async () => {
  const [sample] = sampleMails().filter(({ kind }) => kind === 'device') as [SampleMail]
  await show(sample.mail.html, LIGHT)
  await page.getByText('123456', { exact: true }).click()
  expect(await page.evaluate('getSelection().toString()')).toBe('123456')
})

describe('the pictures of the page docs/mails.md', () => {
  /** Identifies the mail that a picture shows. */
  const noteFor = ({ mail }: SampleMail) => createHash('sha256').update(mail.html).digest('hex')
  const fileOf = ({ locale, name }: SampleMail) => `${name}.${locale}.png`
  const samples = sampleMails({ productName: 'Ch202' })

  if (WRITES)
    test('are written', async () => {
      mkdirSync(DIRECTORY, { recursive: true })
      for (const sample of samples)
        writeFileSync(join(DIRECTORY, fileOf(sample)), encodePng(await pixelsOf(sample.mail.html), noteFor(sample)))
    })

  test(`show the mails as they are (otherwise: ${UPDATE})`, () => {
    const files = existsSync(DIRECTORY) ? readdirSync(DIRECTORY).toSorted() : []
    expect(files.map((name) => [name, noteOf(readFileSync(join(DIRECTORY, name)))])).toEqual(
      samples.map((sample) => [fileOf(sample), noteFor(sample)]).toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    )
  })
})

/** The pixels of a mail on each screen, side by side. */
async function pixelsOf(html: string) {
  const pictures: string[] = []
  for (const screen of SCREENS) {
    await show(html, screen)
    pictures.push((await page.screenshot({ fullPage: true })).toString('base64'))
  }
  const { data, ...size } = await inPage<{ data: string; width: number; height: number }>('join', pictures)
  return { ...size, data: Buffer.from(data, 'base64') }
}
