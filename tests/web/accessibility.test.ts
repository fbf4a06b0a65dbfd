import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { type Person, pagesInBrowser } from './pages.ts'
import { pagesOfAna, STATES } from './states.ts'

const AXE = readFileSync(Bun.resolveSync('axe-core/axe.min.js', import.meta.dir), 'utf8')
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

const SCREENS = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [320, 1280].map((width) => ({ colorScheme, width })),
)

interface Inspection {
  width: number
  outside: string[]
  clipped: string[]
  small: string[]
}
interface FieldRead {
  name: string
  type: string
  autocomplete: string
  value: string
  label: string
  isInvalid: boolean
  isFocused: boolean
  description: string[]
}

/** What axe finds: the rule, and the elements that break it. */
async function violations({ page }: Person): Promise<string[]> {
  await page.evaluate(AXE)
  return (await page.evaluate(
    `axe.run(document, { runOnly: { type: 'tag', values: ${JSON.stringify(TAGS)} } }).then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join('; ')))`,
  )) as string[]
}

/** Everything that is wrong with the page on a screen. */
async function faults(person: Person, { colorScheme, width }: (typeof SCREENS)[number]): Promise<object> {
  await person.page.setViewportSize({ width, height: 800 })
  await person.page.emulateMedia({ colorScheme })
  const { width: pageWidth, ...inspection } = await person.inPage<Inspection>('inspect')
  return { colorScheme, width, pageWidth, ...inspection, axe: await violations(person) }
}

const fine = ({ colorScheme, width }: (typeof SCREENS)[number]) => ({
  colorScheme,
  width,
  pageWidth: width,
  outside: [],
  clipped: [],
  small: [],
  axe: [],
})

describe.each(['en', 'ru'] as const)('in %s', (language) => {
  const here = pagesOfAna({ LOCALE: language })

  test.each(STATES.map((state) => [state.name, state] as const))('%s is accessible', async (_, state) => {
    const person = await here.show(state, { language })
    try {
      expect(await person.page.getAttribute('html', 'lang')).toBe(language)
      for (const screen of language === 'en' ? SCREENS : SCREENS.slice(0, 1))
        expect(await faults(person, screen)).toEqual(fine(screen))
      const read = await person.inPage<FieldRead[]>('fields')
      for (const field of read) {
        expect({ ...field, hasLabel: field.label !== '' }).toMatchObject({ hasLabel: true })
        expect(field.autocomplete).not.toBe('off')
        if (field.isInvalid) expect(field.description.join('').length).toBeGreaterThan(5)
        if (field.type === 'password') expect(field.value).toBe('')
      }
      // Whoever sent a form with errors begins at the first one.
      const first = read.find(({ isInvalid }) => isInvalid)
      if (first) expect(first.isFocused || first.type === 'checkbox').toBe(true)
    } finally {
      await state.after?.(here.world)
    }
  })
})
