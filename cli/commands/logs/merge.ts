import type { LogLine } from './line.ts'

interface Source {
  line: LogLine
  rest: Iterator<LogLine>
}

/** Merges the lines of several services by time, holding one line of each in memory. */
export function* mergeByTime(services: Iterable<Iterable<LogLine>>): Generator<LogLine> {
  const sources: Source[] = []
  for (const lines of services) {
    const rest = lines[Symbol.iterator]()
    const { done, value } = rest.next()
    if (!done) sources.push({ line: value, rest })
  }
  for (;;) {
    const [first, ...others] = sources
    if (!first) return
    const earliest = others.reduce((best, source) => (source.line.time < best.line.time ? source : best), first)
    yield earliest.line
    const { done, value } = earliest.rest.next()
    if (done) sources.splice(sources.indexOf(earliest), 1)
    else earliest.line = value
  }
}
