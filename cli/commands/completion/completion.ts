import { Argument } from 'commander'
import { write } from '../../terminal/terminal.ts'
import { command, type Tool, withTool } from '../../tool/command.ts'
import { SCRIPTS, SHELLS } from './scripts.ts'

export function completionCommand() {
  return command('completion', 'Print the completion script for a shell, which completes live values too', [
    'ch202 completion bash > ch202.bash',
    'ch202 completion zsh > _ch202',
    'ch202 completion fish > ch202.fish',
  ])
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action(withTool(print))
}

function print({ out }: Tool, _: object, shell: (typeof SHELLS)[number]): Promise<void> {
  const script = SCRIPTS[shell].trimEnd()
  return out.json ? out.record({ shell, script }) : write(script)
}
