import { version } from '../../package.json'
import { does, verb } from '../command.ts'
import { write } from '../terminal/terminal.ts'

export function openapiCommand() {
  const examples = ['ch202 openapi > openapi.json', 'ch202 openapi | head -c 200'] as const
  return verb('openapi', 'Print the OpenAPI document of all three services', [...examples]).action(
    does(async () => {
      const { documentation } = await import('../../services/documentation.ts')
      await write(JSON.stringify(documentation(version), null, 2))
    }),
  )
}
