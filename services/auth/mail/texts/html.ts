import { type ButtonColors, DARK, LIGHT } from '../../../kit/colors.ts'
import type { Locale } from '../../../kit/locale.ts'
import type { Content, Dictionary, Part, View } from './dictionary.ts'
import { escapeHtml, htmlOf, type Rich } from './rich.ts'

// Mail programs are not browsers: several know no style sheet, Outlook lays out by tables alone and pads nothing but
// their cells. So every style stands at its element. The style sheet only changes colours for a dark screen.

const FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
const MONOSPACE = "font-family:ui-monospace,Menlo,Consolas,'Liberation Mono',monospace"
const TABLE = 'role="presentation" cellpadding="0" cellspacing="0" border="0"'
/** A long word, such as a name without spaces, must not make the mail wider than the screen. */
const WRAP = 'overflow-wrap:anywhere;word-break:break-word'

interface Layout {
  locale: Locale
  button: ButtonColors
}

/** Writes the HTML of a mail. */
export function htmlText(content: Content, view: View, dictionary: Dictionary, { button, locale }: Layout): string {
  const { heading, parts, subject } = content
  const { product, support } = view
  const footer = support ? footerHtml(dictionary.questions(support)) : ''
  return `<!doctype html>
<html lang="${locale}" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">
<title>${escapeHtml(subject)}</title>
<style>${styleSheet(button)}</style>
</head>
<body class="page" style="margin:0;padding:0;background-color:${LIGHT.page};-webkit-text-size-adjust:100%">
<table ${TABLE} width="100%" class="page" style="width:100%;background-color:${LIGHT.page}">
<tr><td align="center" style="padding:24px 12px">
<table ${TABLE} width="100%" class="card" style="width:100%;max-width:560px;table-layout:fixed;border-collapse:separate;background-color:${LIGHT.card};border:1px solid ${LIGHT.line};border-radius:12px">
<tr><td class="text" style="padding:24px 24px 8px;${FONT};font-size:16px;line-height:24px;color:${LIGHT.text};text-align:left;${WRAP}">
<p class="muted" style="margin:0 0 20px;font-size:14px;line-height:20px;font-weight:600;color:${LIGHT.muted}">${escapeHtml(product)}</p>
<h1 style="margin:0 0 16px;font-size:22px;line-height:28px;font-weight:700">${escapeHtml(heading)}</h1>
${parts.map((part) => htmlPart(part, dictionary, button)).join('\n')}
</td></tr>
</table>
${footer}</td></tr>
</table>
</body>
</html>
`
}

function footerHtml(line: Rich): string {
  return `<table ${TABLE} width="100%" style="width:100%;max-width:560px;table-layout:fixed">
<tr><td class="muted" style="padding:16px 25px;${FONT};font-size:13px;line-height:20px;color:${LIGHT.muted};text-align:left;${WRAP}">${richHtml(line)}</td></tr>
</table>
`
}

function styleSheet({ darkBorder }: ButtonColors): string {
  const { card, line, link, muted, page, text, tint } = DARK
  return `
:root{color-scheme:light dark;supported-color-schemes:light dark}
@media (prefers-color-scheme:dark){
.page{background-color:${page}!important}
.card{background-color:${card}!important;border-color:${line}!important}
.text{color:${text}!important}
.muted{color:${muted}!important}
.tint{background-color:${tint}!important}
.line{border-color:${line}!important}
.link{color:${link}!important}
.button{border-color:${darkBorder}!important}
}
`
}

/** A line of text, with the links in it in the colours of a mail. */
function richHtml(line: Rich): string {
  return htmlOf(line, ` class="link" style="color:${LIGHT.link};${WRAP}"`)
}

function htmlPart(part: Part, dictionary: Dictionary, button: ButtonColors): string {
  if ('code' in part) return codeHtml(part.code)
  if ('link' in part) return buttonHtml(part, dictionary, button)
  if ('facts' in part) return factsHtml(part.facts)
  if ('note' in part)
    return `<p class="line" style="margin:24px 0 16px;padding-top:16px;border-top:1px solid ${LIGHT.line}">${richHtml(part.note)}</p>`
  return `<p style="margin:0 0 16px">${richHtml(part.line)}</p>`
}

/** The code in large digits. Nothing stands between them, so that a copy of them is the code. */
function codeHtml(code: string): string {
  // The last digit has its distance too: the padding on the left is as wide.
  const digits = `${MONOSPACE};font-size:32px;line-height:40px;font-weight:700;letter-spacing:6px;padding-left:6px`
  return `<table ${TABLE} width="100%" style="width:100%;margin:0 0 16px">
<tr><td align="center" class="tint" style="padding:16px 8px;background-color:${LIGHT.tint};border-radius:8px"><span class="text" style="${digits};color:${LIGHT.text};-webkit-user-select:all;user-select:all">${escapeHtml(code)}</span></td></tr>
</table>`
}

/** The button, and the bare link below it for mail programs without buttons, or for another device. */
function buttonHtml(
  { label, link }: { label: string; link: string },
  { orCopy }: Dictionary,
  colors: ButtonColors,
): string {
  const { background, border, text } = colors
  const href = escapeHtml(link)
  return `<table ${TABLE} style="margin:0 0 16px;border-collapse:separate">
<tr><td align="center" bgcolor="${background}" class="button" style="background-color:${background};border:1px solid ${border};border-radius:8px;mso-padding-alt:12px 20px"><a href="${href}" style="display:inline-block;padding:12px 20px;${FONT};font-size:16px;line-height:24px;font-weight:600;color:${text};text-decoration:none">${escapeHtml(label)}</a></td></tr>
</table>
<p class="muted" style="margin:0 0 16px;font-size:13px;line-height:20px;color:${LIGHT.muted}">${escapeHtml(orCopy)}<br>
<a href="${href}" class="link" style="color:${LIGHT.link};word-break:break-all">${href}</a></p>`
}

function factsHtml(facts: readonly (readonly [string, string])[]): string {
  const rows = facts.map(
    ([name, value]) =>
      `<tr><td class="muted" valign="top" style="padding:2px 12px 2px 0;white-space:nowrap;color:${LIGHT.muted}">${escapeHtml(name)}</td><td class="text" valign="top" style="padding:2px 0;color:${LIGHT.text};${WRAP}">${escapeHtml(value)}</td></tr>`,
  )
  return `<table ${TABLE} style="margin:0 0 16px;${FONT};font-size:14px;line-height:20px">\n${rows.join('\n')}\n</table>`
}
