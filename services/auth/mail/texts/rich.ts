// Lines of text with links in them, which both forms of a mail are written from.

export interface Link {
  href: string
  text: string
}

/** A line of text. */
export type Rich = readonly (string | Link)[]

/** Builds a line. @example rich`Write to ${{ href: 'mailto:help@example.org', text: 'help@example.org' }}.` */
export function rich(strings: TemplateStringsArray, ...values: (string | Link | Rich)[]): Rich {
  return strings.flatMap((text, index) => {
    const value = values[index] ?? ''
    return [text, ...(isRich(value) ? value : [value])]
  })
}

function isRich(value: string | Link | Rich): value is Rich {
  return Array.isArray(value)
}

export function plainOf(line: Rich): string {
  return line.map((part) => (typeof part === 'string' ? part : part.text)).join('')
}

/** @param attributes more attributes of each link, as HTML */
export function htmlOf(line: Rich, attributes = ''): string {
  return line
    .map((part) =>
      typeof part === 'string'
        ? escapeHtml(part)
        : `<a href="${escapeHtml(part.href)}"${attributes}>${escapeHtml(part.text)}</a>`,
    )
    .join('')
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Escapes a text for the content of an element, and for an attribute in quotes of either kind. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}
