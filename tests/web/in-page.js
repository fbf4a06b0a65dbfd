// Functions that the tests of the pages run in a page.
globalThis.inPages = { focused, inspect, fields }

/** The focused element: its place in the document, and whether a person sees where they are. */
function focused() {
  const element = document.activeElement
  if (!element || element === document.body || element === document.documentElement) return null
  const { bottom, height, left, right, top, width } = element.getBoundingClientRect()
  const { outlineStyle, outlineWidth } = getComputedStyle(element)
  return {
    html: `${element.outerHTML.slice(0, 160)} at ${left},${top} to ${right},${bottom} of ${innerWidth},${innerHeight}`,
    place: [...document.querySelectorAll('*')].indexOf(element),
    isInView: width > 0 && height > 0 && top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth,
    hasOutline: outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2,
  }
}

/** Looks for what does not fit, and for targets that are too small for a finger (WCAG 2.2, 2.5.8). */
function inspect() {
  const isShown = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 0
  const shown = [...document.body.querySelectorAll('*')].filter(isShown)
  const name = (element) => element.outerHTML.slice(0, 120)
  const overflow = shown
    .filter((element) => {
      const { left, right } = element.getBoundingClientRect()
      return left < -1 || right > innerWidth + 1
    })
    .map(name)
  const clipped = shown
    .filter((element) => element.matches('button, .button, label, p, h1, h2, li, strong'))
    .filter(
      (element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== 'inline',
    )
    .map(name)
  const small = shown
    .filter((element) => element.matches('a, button, input, select') && !element.matches('.skip'))
    // A link inside a sentence may be as low as its line.
    .filter((element) => !(element.matches('a') && /\S/.test(textBeside(element))))
    .filter((element) => {
      const { height, width } = element.getBoundingClientRect()
      return height < 24 || width < 24
    })
    .map(name)
  return { width: document.documentElement.scrollWidth, overflow, clipped, small }
}

function textBeside(element) {
  return [...element.parentElement.childNodes]
    .filter((node) => node.nodeType === Node.TEXT_NODE)
    .map((node) => node.textContent)
    .join('')
}

/** The fields that a person sees: what ties their errors and hints to them, and what they contain. */
function fields() {
  return [...document.querySelectorAll('input, select')]
    .filter((element) => element.checkVisibility())
    .map((element) => ({
      name: element.name,
      type: element.type,
      autocomplete: element.autocomplete,
      value: element.type === 'checkbox' ? String(element.checked) : element.value,
      label: element.labels[0]?.textContent ?? '',
      isInvalid: element.getAttribute('aria-invalid') === 'true',
      isFocused: element === document.activeElement,
      description: (element.getAttribute('aria-describedby') ?? '')
        .split(' ')
        .filter(Boolean)
        .map((id) => document.getElementById(id)?.textContent ?? `no element ${id}`),
    }))
}
