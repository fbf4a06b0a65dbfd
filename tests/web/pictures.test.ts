import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAssets } from '../../services/web/assets/assets.ts'
import { encodePng, noteOf } from '../support/browser/png.ts'
import { sliced } from '../support/whole.ts'
import type { Person } from './pages.ts'
import { pagesOfAna, STATES, type State } from './states.ts'

/**
 * Shows the pages of `docs/pages.md`. `CH202_WRITE_PICTURES=on` also writes their pictures to `docs/pages`; otherwise the
 * files there must show the pages as they are now.
 */
const WRITES = process.env.CH202_WRITE_PICTURES === 'on'
const DIRECTORY = join(import.meta.dir, '../../docs/pages')
const UPDATE = 'CH202_WRITE_PICTURES=on bun test --timeout=120000 ./tests/web/pictures.test.ts'

/** States of which the page has a picture. */
const SHOWN = [
  'sign-in',
  'sign-in-wrong',
  'sign-in-email',
  'sign-in-code',
  'sign-in-device',
  'sign-in-factor',
  'sign-in-enrol',
  'sign-in-recovery-codes',
  'sign-in-link',
  'sign-up',
  'sign-up-wrong',
  'forgot-password',
  'forgot-password-sent',
  'reset-password',
  'verify-email',
  'confirm-email',
  'undo-email',
  'undo-email-done',
  'invitation',
  'account',
  'account-code',
  'security-factors',
  'security-app-key',
  'security-passkey',
  'security-factor',
  'sessions',
  'modules-on',
  'apps-one',
  'oauth-consent',
  'sign-in-again',
  'oauth-logout',
  'delete',
  'console',
  'console-user',
  'console-invite',
  'not-found',
  'unavailable',
  'security-codes-confirm',
  'console-confirm',
]

const DRAW = readFileSync(join(import.meta.dir, '../mail/in-page.js'), 'utf8')

interface Screen {
  width: number
  colorScheme: 'light' | 'dark'
}
/** Pages with one card, and the wide pages of an account. */
const NARROW: Screen[] = [
  { width: 560, colorScheme: 'light' },
  { width: 560, colorScheme: 'dark' },
  { width: 320, colorScheme: 'light' },
]
const WIDE: Screen[] = [
  { width: 1024, colorScheme: 'light' },
  { width: 320, colorScheme: 'dark' },
]

/** Identifies what a picture shows: the page without what differs each time, and its style sheet. */
async function noteFor({ page }: Person, style: string): Promise<string> {
  const html = (await page.content())
    .replaceAll(/(name="(form_token|session_id)" value=")[^"]*/g, '$1')
    .replaceAll(/cursor=[^"#]*/g, 'cursor=')
    // The app, and what it may do.
    .replaceAll(/(action="\/(oauth\/[a-z]+|account\/apps)\?|name="return_to" value=")[^"]*/g, '$1')
    // Ids of users and sessions, which commands have too.
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '')
    // Secrets of second factors, and their ids.
    .replaceAll(/((src|href)="data:|data-options="|factor=|<code[^>]*>)[^"<]*/g, '$1')
  return createHash('sha256').update(html).update(style).digest('hex')
}

async function pixelsOf({ page }: Person) {
  const isWide = (await page.locator('main.wide').count()) > 0
  const pictures: string[] = []
  for (const { colorScheme, width } of isWide ? WIDE : NARROW) {
    await page.setViewportSize({ width, height: 480 })
    await page.emulateMedia({ colorScheme })
    pictures.push((await page.screenshot({ fullPage: true, animations: 'disabled' })).toString('base64'))
  }
  await page.goto('about:blank')
  const drawn = (await page.evaluate(`${DRAW};inMail.join(${JSON.stringify(pictures)})`)) as {
    data: string
    width: number
    height: number
  }
  return { ...drawn, data: Buffer.from(drawn.data, 'base64') }
}

describe(`the pictures of the page docs/pages.md (otherwise: ${UPDATE})`, () => {
  const here = pagesOfAna({ PRODUCT_NAME: 'Ch202' })
  const style = loadAssets({ brandColor: '#1f6feb', dataDir: '/nonexistent' }).style
  const states = SHOWN.map((name) => STATES.find((state) => state.name === name) as State)

  const compared = WRITES ? states : sliced(states, 8)
  test.each(compared.map((state) => [state.name, state] as const))('show %s as it is', async (name, state) => {
    const person = await here.show(state)
    try {
      const note = await noteFor(person, style)
      const file = join(DIRECTORY, `${name}.png`)
      if (WRITES) {
        mkdirSync(DIRECTORY, { recursive: true })
        writeFileSync(file, encodePng(await pixelsOf(person), note))
      }
      expect(existsSync(file) && noteOf(readFileSync(file))).toBe(note)
    } finally {
      await state.after?.(here.world)
    }
  })

  test('are all that the folder has, and the page shows each', () => {
    expect(readdirSync(DIRECTORY).toSorted()).toEqual(SHOWN.map((name) => `${name}.png`).toSorted())
    const page = readFileSync(`${DIRECTORY}.md`, 'utf8')
    expect([...page.matchAll(/\(pages\/([\w-]+)\.png\)/g)].map(([, name]) => name)).toEqual(SHOWN)
  })
})
