import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATHS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  // The same letters on every machine, without the colours of a screen's subpixels.
  '--disable-lcd-text',
  '--font-render-hinting=none',
]
/** Milliseconds after which a browser that hangs fails the test. */
export const BROWSER_TIMEOUT = 60_000

/**
 * Starts Chromium.
 * @param options arguments besides the usual ones, and those of Playwright that are left out
 * @throws Error that says how to install it
 */
export async function openChromium({
  args = [],
  ignoreDefaultArgs = [],
}: {
  args?: readonly string[]
  ignoreDefaultArgs?: string[]
} = {}): Promise<Browser> {
  const executablePath = PATHS.find((path) => path && existsSync(path))
  if (executablePath === undefined)
    throw new Error(
      `Chromium is not installed: looked for ${PATHS.filter(Boolean).join(', ')}. Install it (\`apt-get install chromium\`), or set CHROMIUM to its path`,
    )
  return await chromium.launch({
    executablePath,
    args: [...ARGUMENTS, ...args],
    ignoreDefaultArgs,
    timeout: BROWSER_TIMEOUT,
  })
}
