import { readFileSync } from 'node:fs'
import { compiled, inCheckout } from '../../executable.ts'
import { EXIT, Failure } from '../../exit.ts'
import { place } from './write.ts'

/**
 * One executable that runs every command and every service, with nothing else on the machine: of the same source the
 * same bytes, wherever it is built.
 * @returns whether it is another than the one that was there
 * @throws Failure in the compiled tool, which has no source; and where the source does not build
 */
export async function packageBinary(path: string): Promise<boolean> {
  if (compiled)
    throw new Failure(EXIT.failed, 'This is the executable already, and the source to build one from is not in it', {
      code: 'no_source',
      suggestion: `in a checkout: bun ch202 package binary; or a copy of ${process.execPath}`,
    })
  return await place(path, 0o755, compile)
}

async function compile(outfile: string): Promise<void> {
  try {
    await Bun.build({
      entrypoints: [inCheckout('cli', 'main.ts')],
      target: 'bun',
      format: 'cjs',
      minify: true,
      bytecode: true,
      define: {
        'process.env.NODE_ENV': '"production"',
        BUILT_IN_PROCFILE: JSON.stringify(readFileSync(inCheckout('Procfile'), 'utf8')),
        // With bytecode these become the paths of the machine that builds, which are no one's business.
        'import.meta.dir': '"/"',
        __dirname: '"/"',
        __filename: '"/"',
      },
      // Whoever can write the directory that it is called in must not have it load code from there, or send keys to an
      // address of theirs: Bun would read a bunfig.toml and a .env, and the others where its default changes.
      compile: {
        outfile,
        autoloadBunfig: false,
        autoloadDotenv: false,
        autoloadPackageJson: false,
        autoloadTsconfig: false,
      },
    })
  } catch (error) {
    const said = error instanceof AggregateError ? error.errors.map(String).join('\n') : String(error)
    throw new Failure(EXIT.failed, `The source does not build:\n${said}`, {
      suggestion: 'bun install --frozen-lockfile',
    })
  }
}
