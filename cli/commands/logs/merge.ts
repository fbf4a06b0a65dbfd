import type { LogLine } from './line.ts'

interface Source {
  line: LogLine
  rest: Iterator<LogLine>
}

/** The lines of several services, each in its order, by time: never more than a line of each is held. */
export function* byTime(services: Iterable<Iterable<LogLine>>): Generator<LogLine> {
  const sources: Source[] = []
  for (const lines of services) {
    const rest = lines[Symbol.iterator]()
    const { done, value } = rest.next()
    if (!done) sources.push({ line: value, rest })
  }
  for (;;) {
    const [first, ...others] = sources
    if (!first) return
    const earliest = others.reduce((found, source) => (source.line.time < found.line.time ? source : found), first)
    yield earliest.line
    const { done, value } = earliest.rest.next()
    if (done) sources.splice(sources.indexOf(earliest), 1)
    else earliest.line = value
  }
}
