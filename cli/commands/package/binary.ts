import { readFileSync } from 'node:fs'
import { compiled, inCheckout } from '../../executable.ts'
import { EXIT, Failure } from '../../exit.ts'
import { replaceFile } from './replace-file.ts'

/**
 * Builds one executable that runs every command and service without other files. The build is reproducible: the same
 * source gives the same bytes on any machine.
 * @returns whether the file has changed
 * @throws Failure in the executable, which has no source; or if the build fails
 */
export async function packageBinary(path: string): Promise<boolean> {
  if (compiled)
    throw new Failure(EXIT.failed, 'This tool is an executable without the source needed to build another one', {
      code: 'no_source',
      suggestion: `in a checkout: bun ch202 package binary; or a copy of ${process.execPath}`,
    })
  return await replaceFile(path, 0o755, compile)
}

async function compile(outfile: string): Promise<void> {
  try {
    await Bun.build({
      // The second is the program of the threads that hash, which `services/kit/passwords/hash-workers.ts` starts by its path.
      entrypoints: [inCheckout('cli', 'main.ts'), inCheckout('services', 'kit', 'passwords', 'hash-worker.ts')],
      root: inCheckout(),
      target: 'bun',
      format: 'esm',
      splitting: true,
      minify: true,
      bytecode: true,
      define: {
        'process.env.NODE_ENV': '"production"',
        BUILT_IN_PROCFILE: JSON.stringify(readFileSync(inCheckout('Procfile'), 'utf8')),
        // With bytecode these would contain paths of the build machine.
        'import.meta.dir': '"/"',
        __dirname: '"/"',
        __filename: '"/"',
      },
      // Bun must load no bunfig.toml or .env from the working directory: anyone who can write there could run code or
      // redirect keys. The other two are off in case Bun's defaults change.
      compile: {
        outfile,
        autoloadBunfig: false,
        autoloadDotenv: false,
        autoloadPackageJson: false,
        autoloadTsconfig: false,
      },
    })
  } catch (error) {
    const message = error instanceof AggregateError ? error.errors.map(String).join('\n') : String(error)
    throw new Failure(EXIT.failed, `The build failed:\n${message}`, {
      suggestion: 'bun install --frozen-lockfile',
    })
  }
}
