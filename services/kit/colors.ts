/** The colours of mails and pages: each pair of text and background has a contrast of at least 4.5 (WCAG 2.2, 1.4.3). */
export const LIGHT = {
  page: '#f1f3f5',
  card: '#ffffff',
  line: '#d5dae0',
  tint: '#f1f3f5',
  text: '#1c2128',
  muted: '#57606a',
  link: '#0a53b8',
}
export const DARK: typeof LIGHT = {
  page: '#0f1318',
  card: '#1a2027',
  line: '#39424d',
  tint: '#262e37',
  text: '#e9edf1',
  muted: '#a3adb8',
  link: '#8fbcff',
}

/** The contrast that a button needs to stand out from the card (WCAG 2.2, 1.4.11). */
const BOUNDARY = 3

export interface ButtonColors {
  background: string
  text: string
  /** The border on a light card, and on a dark one. */
  border: string
  darkBorder: string
}

/** Chooses the colours of a button that has the colour of the product, which may be any. @param brand such as `#1f6feb` */
export function buttonColors(brand: string): ButtonColors {
  const [white, black] = ['#ffffff', '#000000']
  const border = ({ card, muted }: typeof LIGHT) => (contrast(brand, card) < BOUNDARY ? muted : brand)
  return {
    background: brand,
    text: contrast(brand, white) >= contrast(brand, black) ? white : black,
    border: border(LIGHT),
    darkBorder: border(DARK),
  }
}

/** The contrast of two colours, from 1 to 21. */
function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light + 0.05) / (dark + 0.05)
}

/** The relative luminance of a colour (WCAG 2.2). */
function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(color.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** The colours of pages. */
export interface PageColors {
  page: string
  card: string
  line: string
  text: string
  muted: string
  link: string
  field: string
  button: string
  'button-text': string
  'button-border': string
  error: string
  'error-tint': string
  good: string
  'good-tint': string
}

/** Chooses the colours of pages, light and dark, by that of the product. @param brand such as `#1f6feb` */
export function pageColors(brand: string): Record<'light' | 'dark', PageColors> {
  const button = buttonColors(brand)
  const common = { button: button.background, 'button-text': button.text }
  return {
    light: {
      ...common,
      page: '#f4f5f7',
      card: LIGHT.card,
      line: '#d5dae0',
      text: LIGHT.text,
      muted: LIGHT.muted,
      link: legible(brand, ['#f4f5f7', LIGHT.card], LIGHT.link),
      field: '#79828c',
      'button-border': button.border,
      error: '#b3261e',
      'error-tint': '#fdecea',
      good: '#0b6b3a',
      'good-tint': '#e6f4ec',
    },
    dark: {
      ...common,
      page: DARK.page,
      card: DARK.card,
      line: DARK.line,
      text: DARK.text,
      muted: DARK.muted,
      link: legible(brand, [DARK.page, DARK.card], DARK.link),
      field: '#7d8894',
      'button-border': button.darkBorder,
      error: '#ffb4ab',
      'error-tint': '#3b1a18',
      good: '#7fd8a4',
      'good-tint': '#12301f',
    },
  }
}

/** The colour itself if text of it can be read on the backgrounds, otherwise the other one. */
function legible(color: string, backgrounds: readonly string[], other: string): string {
  return backgrounds.every((background) => contrast(color, background) >= 4.5) ? color : other
}
