// Functions that `pictures.test.ts` runs in the page of a mail.
globalThis.inMail = { inspect, readPage, readButton, join }

/**
 * Looks for what does not fit or is hard to read.
 * @param {number} least the contrast that a text must have
 * @param {string} canvas the colour behind the page
 */
function inspect(least, canvas) {
  const outside = [...document.body.querySelectorAll('*')]
    .filter((element) => {
      const { left, right } = element.getBoundingClientRect()
      return left < 0 || right > window.innerWidth
    })
    .map((element) => element.outerHTML.slice(0, 120))
  const parts = (color) => (color.match(/[\d.]+/g) ?? []).map(Number)
  const backgroundOf = (element) => {
    if (!element) return parts(canvas)
    const [red, green, blue, alpha = 1] = parts(getComputedStyle(element).backgroundColor)
    return alpha === 1 ? [red, green, blue] : backgroundOf(element.parentElement)
  }
  const luminance = (color) => {
    const [red, green, blue] = color.map((value) => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const faint = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement
    const text = node.textContent.trim()
    if (!text) continue
    const { color, fontSize, opacity, visibility } = getComputedStyle(element)
    const pair = [luminance(parts(color).slice(0, 3)), luminance(backgroundOf(element))]
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)
    if (contrast < least || opacity !== '1' || visibility !== 'visible' || Number.parseFloat(fontSize) < 13)
      faint.push(`${contrast.toFixed(2)} ${fontSize} ${color}: ${text}`)
  }
  return { width: document.documentElement.scrollWidth, outside, faint }
}

/** The text as a reader sees it, and where the links lead. */
function readPage() {
  const selection = getSelection()
  selection.selectAllChildren(document.body)
  return { text: selection.toString(), links: [...document.links].map(({ href }) => href) }
}

function readButton() {
  const cell = document.querySelector('.button')
  const { backgroundColor, borderTopColor, borderTopWidth } = getComputedStyle(cell)
  return {
    border: `${borderTopWidth} ${borderTopColor}`,
    background: backgroundColor,
    height: cell.firstElementChild.getBoundingClientRect().height,
  }
}

/**
 * Draws pictures side by side.
 * @param {string[]} pictures PNG files in Base64
 * @returns the pixels, in Base64
 */
async function join(pictures) {
  const images = await Promise.all(
    pictures.map(async (picture) => {
      const image = new Image()
      image.src = `data:image/png;base64,${picture}`
      await image.decode()
      return image
    }),
  )
  const gap = 20
  const canvas = document.createElement('canvas')
  canvas.width = images.reduce((sum, image) => sum + image.width, gap * (images.length - 1))
  canvas.height = Math.max(...images.map((image) => image.height))
  const context = canvas.getContext('2d')
  context.fillStyle = '#8b949e'
  context.fillRect(0, 0, canvas.width, canvas.height)
  let left = 0
  for (const image of images) {
    context.drawImage(image, left, 0)
    left += image.width + gap
  }
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height)
  let octets = ''
  for (const octet of data) octets += String.fromCharCode(octet)
  return { data: btoa(octets), width: canvas.width, height: canvas.height }
}
