import bash from './ch202.bash' with { type: 'text' }
import fish from './ch202.fish' with { type: 'text' }
import zsh from './ch202.zsh' with { type: 'text' }

export const SHELLS = ['bash', 'zsh', 'fish'] as const

/** The completion scripts. Each runs `ch202 complete -- <words>` and offers its output. */
export const SCRIPTS: Record<(typeof SHELLS)[number], string> = { bash, zsh, fish }
