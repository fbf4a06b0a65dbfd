import type { Page } from 'playwright-core'
import { en } from '../../../services/web/texts/en.ts'
import { logIn, PASSWORD, type TestUser } from '../../support/actors.ts'
import { eventually } from '../../support/eventually.ts'
import { as, call } from '../../support/http.ts'
import type { System } from '../../support/system.ts'

/** A person in Chromium, who signs in to a party. */
export class Visit {
  constructor(
    readonly page: Page,
    private readonly system: System,
    private readonly user: TestUser,
  ) {}

  /** Signs in at the page to which a party has sent the browser, and allows what it asks for. */
  async signIn(): Promise<void> {
    await this.page.waitForURL(`${this.system.url.web}/sign-in?**`)
    await this.page.getByLabel(en.fields.login).fill(this.user.email)
    await this.page.getByLabel(en.fields.password, { exact: true }).fill(PASSWORD)
    await this.press(en.signIn.submit)
    await this.page.waitForURL(`${this.system.url.web}/oauth/consent?**`)
    await this.press(en.consent.allow)
  }

  async press(name: string): Promise<void> {
    await this.page.getByRole('button', { name, exact: true }).first().click()
  }

  /** Waits until the page shows a text. @throws Error with the page after a minute */
  async see(text: string): Promise<void> {
    await this.page
      .getByText(text)
      .first()
      .waitFor()
      .catch(async () => {
        throw new Error(`${this.page.url()} does not show "${text}":\n${await this.page.locator('body').textContent()}`)
      })
  }

  /** Checks that nobody is signed in at Ch202 any more. */
  async isSignedOut(): Promise<void> {
    await this.page.goto(`${this.system.url.web}/account`)
    await this.page.waitForURL(`${this.system.url.web}/sign-in**`)
  }

  /** When the party last got tokens of the user. */
  async lastUse(): Promise<string> {
    // Their access token may have expired.
    const { access_token } = (await logIn(this.system, this.user.email)).body
    const { body } = await call(this.system.url.auth, 'GET /auth/grants', { headers: as.bearer(access_token) })
    return body.items[0]?.last_used_at
  }

  /** Repeats something until the party has refreshed its tokens. */
  async untilRefreshed(act: () => Promise<unknown>): Promise<void> {
    const before = await this.lastUse()
    await eventually(async () => {
      await act()
      return (await this.lastUse()) !== before
    })
  }
}
