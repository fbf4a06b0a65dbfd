import { version } from '../../package.json'
import { write } from '../terminal/terminal.ts'
import { command, withTool } from '../tool/command.ts'

export function openapiCommand() {
  const examples = ['ch202 openapi > openapi.json', 'ch202 openapi | head -c 200'] as const
  return command('openapi', 'Print the OpenAPI document of all services', [...examples]).action(
    withTool(async () => {
      const { documentation } = await import('../../services/documentation.ts')
      await write(JSON.stringify(await documentation(version), null, 2))
    }),
  )
}
