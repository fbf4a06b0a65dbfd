import { existsSync } from 'node:fs'
import { plugin } from 'bun'

/**
 * Preloaded into a service that starts on an empty directory: after the service has looked for the secret, and before it
 * looks for sealed keys (it loads `services/databases.ts` for that), auth starts on the same directory and creates both.
 */
const { CH202_DATA_DIR: dataDir = '' } = process.env

plugin({
  name: 'another starts first',
  setup(build) {
    build.onLoad({ filter: /\/services\/databases\.ts$/ }, async ({ path }) => {
      if (existsSync(`${dataDir}/secrets.env`)) throw new Error('This is not the moment that the test is about')
      const auth = Bun.spawn([process.execPath, 'cli/main.ts', 'serve', 'auth'], { stdout: 'pipe', stderr: 'inherit' })
      const decoder = new TextDecoder()
      let printed = ''
      for await (const chunk of auth.stdout) {
        printed += decoder.decode(chunk, { stream: true })
        if (printed.includes(' ready at ')) break
      }
      auth.kill('SIGTERM')
      await auth.exited
      return { contents: await Bun.file(path).text(), loader: 'ts' }
    })
  },
})
