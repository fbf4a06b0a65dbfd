import { as, call } from './http.ts'

/** A line of a scrape. */
interface Line {
  name: string
  labels: Record<string, string>
  value: number
}

/** The metrics of a process at one moment. */
export class Scrape {
  constructor(readonly lines: readonly Line[]) {}

  /** The sum of the values with these labels. NaN: there is no such line. */
  sum(name: string, labels: Record<string, string> = {}): number {
    const values = this.lines.filter((line) => line.name === name && hasLabels(line, labels)).map(({ value }) => value)
    return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value)
  }

  /** The names, with those of the parts of a histogram. */
  names(): Set<string> {
    return new Set(this.lines.map(({ name }) => name))
  }
}

/** Reads the metrics of a process. @throws Error if it refuses */
export async function scrape(base: string, headers: Record<string, string> = as.operator): Promise<Scrape> {
  const { status, text } = await call(base, 'GET /metrics', { headers })
  if (status !== 200) throw new Error(`metrics: ${status} ${text}`)
  return new Scrape(
    [...text.matchAll(/^([a-z_0-9]+)\{(.*)\} (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
      name,
      labels: Object.fromEntries(
        [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', text]) => [label, text ?? '']),
      ),
      value: value === '+Inf' || value === 'Infinity' ? Number.POSITIVE_INFINITY : Number(value),
    })),
  )
}

function hasLabels(line: Line, labels: Record<string, string>): boolean {
  return Object.entries(labels).every(([name, value]) => line.labels[name] === value)
}
