import type { Content, Dictionary, Part, View } from './dictionary.ts'
import { plainOf } from './rich.ts'

/** The width of the lines: what programs for plain text show without wrapping, also when it is quoted. */
const WIDTH = 72

/** Writes the text of a mail. A link stands on a line of its own, which is never wrapped. */
export function plainText({ parts }: Content, { product, support }: View, { questions }: Dictionary): string {
  const footer = ['--', product, ...(support ? [wrap(plainOf(questions(support)))] : [])].join('\n')
  return breakable(`${[...parts.map(textOf), footer].join('\n\n')}\n`)
}

/** Replaces non-breaking spaces, which not every program for plain text shows as spaces. */
export function breakable(text: string): string {
  return text.replaceAll('\u00a0', ' ')
}

function textOf(part: Part): string {
  if ('code' in part) return `    ${part.code}`
  if ('link' in part) return part.link
  if ('facts' in part) return part.facts.map(([name, value]) => `    ${name}: ${value}`).join('\n')
  return wrap(plainOf('note' in part ? part.note : part.line))
}

/** Breaks a line between words. A word that is longer than a line, such as an address, stays in one piece. */
function wrap(text: string): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line === undefined || line.length + 1 + word.length > WIDTH) lines.push(word)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines.join('\n')
}
