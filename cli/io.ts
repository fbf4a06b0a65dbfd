import { EXIT, Failure, usage } from './exit.ts'

export const OUTPUTS = ['table', 'json', 'jsonl', 'csv', 'ids'] as const
export type Output = (typeof OUTPUTS)[number]

type Row = Record<string, unknown>

/** Writes one record to standard output in the form that was asked for. */
export function show(record: Row, output: Output): void {
  write(shown(record, output))
}

function shown(record: Row, output: Output): string {
  if (output === 'json' || output === 'jsonl') return JSON.stringify(record)
  if (output === 'ids') return String(record.id ?? '')
  const names = Object.keys(record)
  if (output === 'csv')
    return [names.map(csv).join(','), names.map((name) => csv(cell(record[name]))).join(',')].join('\n')
  const width = Math.max(...names.map((name) => name.length))
  const lines = names.map((name) =>
    process.stdout.isTTY ? `${name.padEnd(width)}  ${cell(record[name])}` : `${name}\t${cell(record[name])}`,
  )
  return lines.join('\n')
}

export function write(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Everything that is not data. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Control characters in data must not steer the terminal that shows it. */
function cell(value: unknown): string {
  const text = value === null || value === undefined ? '' : Array.isArray(value) ? value.join(',') : String(value)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it takes out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '�')
}

function csv(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Tells a failure: to people on standard error, as JSON on standard output. Gives the exit status. */
export function tell(error: unknown, output: Output): number {
  const failure = error instanceof Failure ? error : unexpected(error)
  const { code = 'failed', requestId, retryable = false, suggestion } = failure.said
  if (output === 'json' || output === 'jsonl') {
    const told = { code, message: failure.message, suggestion, request_id: requestId, retryable }
    write(JSON.stringify({ ok: false, error: told }))
  } else {
    const request = requestId === undefined ? '' : `, request ${requestId}`
    note(`✗ ${failure.message} (${code}${request})`)
    if (suggestion !== undefined) note(`→ ${suggestion}`)
  }
  return failure.exit
}

/** Settings, databases and ports: their errors were written for the operator. Anything else is a defect of ours. */
function unexpected(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error)
  return new Failure(EXIT.failed, message)
}

/** The first line of standard input. @throws Failure where there is none */
export async function passwordFromStdin(): Promise<string> {
  const [line = ''] = (await Bun.stdin.text()).split(/\r?\n/)
  if (line === '') throw usage('Standard input holds no password', 'printf %s "$PASSWORD" | ch202 … --password-stdin')
  return line
}
