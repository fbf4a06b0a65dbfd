// Adds to pages what works only with a script. Every form works without it.
for (const button of document.querySelectorAll('[data-shows]')) {
  const input = document.getElementById(button.dataset.shows)
  const { hide, show } = button.dataset
  button.hidden = false
  const set = (isShown) => {
    input.type = isShown ? 'text' : 'password'
    button.textContent = isShown ? hide : show
  }
  button.addEventListener('click', () => {
    set(input.type === 'password')
    input.focus()
  })
  // Password managers and browsers save only what is in a password field.
  input.form.addEventListener('submit', () => set(false))
}
// Recovery codes: prints the page, or copies the list.
for (const button of document.querySelectorAll('[data-does]')) {
  const { does, done, of } = button.dataset
  // Browsers have no clipboard on a page without TLS.
  button.hidden = does === 'copy' && !navigator.clipboard
  button.addEventListener('click', async () => {
    if (does === 'print') return print()
    const lines = Array.from(document.getElementById(of).children, (line) => line.textContent)
    await navigator.clipboard.writeText(lines.join('\n'))
    button.textContent = done
  })
}
// The server does not know the time zone of a browser.
const { lang } = document.documentElement
const local = new Intl.DateTimeFormat(lang === 'en' ? 'en-GB' : lang, { dateStyle: 'medium', timeStyle: 'short' })
for (const time of document.querySelectorAll('time')) {
  time.title = time.textContent
  time.textContent = local.format(new Date(time.dateTime))
}
// A page from the browser's memory may show a session that has ended.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload()
})

// Passkeys (WebAuthn 3). A button has the options of the API, with bytes in base64url; its form takes the answer.
/** Milliseconds for which options are used. The API takes them for 5 minutes. */
const OPTIONS_LIFE = 4 * 60_000
const openedAt = Date.now()
const bytesOf = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
const textOf = (buffer) =>
  btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')

function publicKeyOf({ allowCredentials = [], challenge, excludeCredentials = [], user, ...options }) {
  const listed = (passkeys) => passkeys.map((passkey) => ({ ...passkey, id: bytesOf(passkey.id) }))
  return {
    ...options,
    challenge: bytesOf(challenge),
    allowCredentials: listed(allowCredentials),
    excludeCredentials: listed(excludeCredentials),
    user: user && { ...user, id: bytesOf(user.id) },
  }
}

function answerOf({ id, rawId, response, type }) {
  const parts = response.getTransports ? { transports: response.getTransports() } : {}
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'])
    if (response[name]) parts[name] = textOf(response[name])
  return JSON.stringify({ id, rawId: textOf(rawId), type, response: parts })
}

/** Reads newer options from the page that has the button, if those of this page have expired. */
async function renew(button) {
  if (Date.now() - (button.renewedAt ?? openedAt) < OPTIONS_LIFE) return
  const page = new DOMParser().parseFromString(await (await window.fetch(button.dataset.from)).text(), 'text/html')
  button.dataset.options = page.getElementById(button.id).dataset.options
  button.renewedAt = Date.now()
}

/** Asks the browser for a passkey, and sends the form with its answer. */
async function ask(button, how = {}) {
  const { into, options, passkey } = button.dataset
  const publicKey = publicKeyOf(JSON.parse(options))
  const credential = await navigator.credentials[passkey]({ publicKey, ...how })
  button.form.elements.namedItem(into).value = answerOf(credential)
  button.form.requestSubmit()
}

/** The passkeys that the browser offers in the field of the login name. A button takes their place. */
let offer
async function autofill(button) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return
  const own = new AbortController()
  offer = own
  const timer = setTimeout(() => {
    own.abort()
    const again = () => offer === own && autofill(button)
    if (document.hidden) document.addEventListener('visibilitychange', again, { once: true })
    else again()
  }, OPTIONS_LIFE)
  try {
    await renew(button)
    await ask(button, { mediation: 'conditional', signal: own.signal })
  } catch {
    // The button says what does not work.
    if (!own.signal.aborted) clearTimeout(timer)
  }
}

for (const button of document.querySelectorAll('[data-passkey]')) {
  const error = button.nextElementSibling
  const says = JSON.parse(button.dataset.says)
  if (!globalThis.PublicKeyCredential) {
    error.textContent = says.NotSupportedError
    continue
  }
  button.hidden = false
  button.addEventListener('click', async () => {
    error.textContent = ''
    offer?.abort()
    offer = undefined
    try {
      await renew(button)
      await ask(button)
    } catch ({ name }) {
      error.textContent = says[name] ?? says.other
      if ('autofill' in button.dataset) autofill(button)
    }
  })
  if ('autofill' in button.dataset) autofill(button)
}
