import type { CDPSession } from 'playwright-core'
import type { Person } from './pages.ts'

/** A device with passkeys, as Chromium simulates it: it needs no finger. */
export class PasskeyDevice {
  private constructor(
    private readonly chromium: CDPSession,
    private readonly authenticatorId: string,
  ) {}

  /**
   * Gives a person a device, for the tab that they use now.
   * @param isSynced whether its passkeys are synchronized
   */
  static async of({ context, page }: Person, { isSynced = false } = {}): Promise<PasskeyDevice> {
    const chromium = await context.newCDPSession(page)
    await chromium.send('WebAuthn.enable', { enableUI: false })
    const { authenticatorId } = await chromium.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
        defaultBackupEligibility: isSynced,
        defaultBackupState: isSynced,
      },
    })
    return new PasskeyDevice(chromium, authenticatorId)
  }

  /** Sets whether the device recognizes its user, by a finger for example. */
  async recognize(isUserVerified: boolean): Promise<void> {
    const { authenticatorId } = this
    await this.chromium.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified })
  }

  /** The passkeys of the device: the id of each in base64url, and how often it has signed. */
  async passkeys(): Promise<{ id: string; signCount: number }[]> {
    const { authenticatorId } = this
    const { credentials } = await this.chromium.send('WebAuthn.getCredentials', { authenticatorId })
    return credentials.map(({ credentialId, signCount }) => ({
      id: Buffer.from(credentialId, 'base64').toString('base64url'),
      signCount,
    }))
  }

  /** Removes all passkeys of the device. */
  async clear(): Promise<void> {
    const { authenticatorId } = this
    await this.chromium.send('WebAuthn.clearCredentials', { authenticatorId })
  }
}

/** The browser does not offer passkeys in a field, as old ones do not. Only the button remains. */
export async function withoutAutofill({ context }: Person): Promise<void> {
  await context.addInitScript('PublicKeyCredential.isConditionalMediationAvailable = async () => false')
}

/**
 * Signs the options of the button on the page as that button does, in the tab that the person uses.
 * @param id the passkey that signs; undefined: one of those that the options list
 * @returns what the form of the button sends
 */
export async function signedIn(page: Person['page'], options: string, id?: string): Promise<string> {
  const credential = await page.evaluate(`(async () => {
    const options = ${options}
    if (${id !== undefined}) options.allowCredentials = [{ type: 'public-key', id: '${id}' }]
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
    return JSON.stringify(await navigator.credentials.get({ publicKey }))
  })()`)
  return credential as string
}

/** The options of the button with a passkey, as the page has them. */
export async function optionsOf({ page }: Person): Promise<string> {
  return (await page.locator('[data-passkey]').first().getAttribute('data-options')) ?? ''
}

/** Sends the form of the button with an answer that the button did not get. */
export async function send(person: Person, credential: string): Promise<void> {
  const loaded = person.page.waitForEvent('load')
  await person.page.evaluate(`(() => {
    const { dataset, form } = document.querySelector('[data-passkey]')
    form.elements.namedItem(dataset.into).value = ${JSON.stringify(credential)}
    form.requestSubmit()
  })()`)
  await loaded
}
