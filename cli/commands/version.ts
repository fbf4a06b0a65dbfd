import { version } from '../../package.json'
import { does, verb } from '../command.ts'
import { write } from '../terminal/terminal.ts'

export function versionCommand() {
  return verb('version', 'Print the version', ['ch202 version', 'ch202 version -o json']).action(
    does(async ({ out }) => (out.json ? out.record({ version }) : write(version))),
  )
}
