import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Verifiers in other languages and libraries, each with the default cache of its library. */
export const PROGRAMS = {
  'jose (Node)': async () => ['node', join(import.meta.dir, 'jose.mjs')],
  // Debian's packages belong to Debian's Python, whichever Python is first in the PATH.
  'PyJWT (Python)': async () => [process.env.PYTHON ?? '/usr/bin/python3', join(import.meta.dir, 'pyjwt.py')],
  'keyfunc (Go)': () => builtByGo(),
} as const
export type ProgramName = keyof typeof PROGRAMS

/** Downloads two modules, whose checksums are in `go.sum`, unless Go has them already. */
async function builtByGo(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ch202-go-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const program = join(folder, 'verify')
  const go = Bun.spawn(['go', 'build', '-o', program, '.'], { cwd: join(import.meta.dir, 'go'), stderr: 'inherit' })
  if ((await go.exited) !== 0) throw new Error('The program in Go could not be built')
  return [program]
}

/** A running verifier, which reads a token a line, and answers each with `ok` and its subject, or with why it is refused. */
export class Verifier {
  readonly refused: string[] = []
  checked = 0
  private readonly child: Bun.Subprocess<'pipe', 'pipe', 'pipe'>
  private readonly answers: AsyncIterator<string>
  private queue: Promise<unknown> = Promise.resolve()

  constructor(
    readonly name: string,
    command: string[],
    env: Record<string, string> = {},
  ) {
    this.child = Bun.spawn(command, { env: { ...process.env, ...env }, stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' })
    this.answers = linesOf(this.child.stdout)
  }

  /** @returns the subject of the token, or undefined if the token is refused */
  check(token: string): Promise<string | undefined> {
    const answer = this.queue.then(async () => {
      this.child.stdin.write(`${token}\n`)
      this.child.stdin.flush()
      const { value } = await this.answers.next()
      if (value === undefined) throw new Error(`${this.name} ended: ${await new Response(this.child.stderr).text()}`)
      this.checked++
      if (value.startsWith('ok ')) return value.slice('ok '.length)
      this.refused.push(value)
      return undefined
    })
    this.queue = answer.catch(() => undefined)
    return answer
  }

  async stop(): Promise<void> {
    this.child.stdin.end()
    await this.child.exited
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  return undefined
}
