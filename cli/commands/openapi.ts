import { version } from '../../package.json'
import { write } from '../terminal/terminal.ts'
import { command, withTool } from '../tool/command.ts'

export function openapiCommand() {
  return command('openapi', 'Print the OpenAPI document of all services', [
    'ch202 openapi > openapi.json',
    'ch202 openapi | head -c 200',
  ]).action(
    withTool(async () => {
      const { documentation } = await import('../../services/documentation.ts')
      await write(JSON.stringify(await documentation(version), null, 2))
    }),
  )
}
