import { version } from '../../package.json'
import { write } from '../terminal/terminal.ts'
import { command, withTool } from '../tool/command.ts'

export function versionCommand() {
  return command('version', 'Print the version', ['ch202 version', 'ch202 version -o json']).action(
    withTool(async ({ out }) => (out.json ? out.record({ version }) : write(version))),
  )
}
