import { does, verb } from '../command.ts'
import { EXIT, usage } from '../exit.ts'
import { settingsToServe } from '../settings.ts'
import { onStop } from '../signals.ts'
import { write } from '../terminal.ts'

export function serveCommand() {
  return verb('serve [services...]', 'Run all services, or those named, in this one process', [
    'ch202 serve',
    'ch202 serve auth',
  ]).action(
    does(async ({ env }, _options, names: string[]) => {
      const { SERVICES, serve } = await import('../../services/serve.ts')
      const wanted = SERVICES.filter((name) => names.length === 0 || names.includes(name))
      const unknown = names.find((name) => !SERVICES.some((known) => known === name))
      if (unknown !== undefined) throw usage(`There is no service ${unknown}: there are ${SERVICES.join(', ')}`)

      const stopped = Promise.withResolvers<void>()
      onStop(stopped.resolve, () => process.exit(EXIT.interrupted))

      const served = await serve(settingsToServe(env), wanted)
      await write(`${served.services.join(', ')} ready at ${served.url}`)
      await stopped.promise
      await served.stop()
      process.exitCode = EXIT.done
      // What a library still holds open must not keep the process.
      setTimeout(() => process.exit(), 200).unref()
    }),
  )
}
