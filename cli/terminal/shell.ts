// Pages show commands too.
export { quoted } from '../../services/kit/shell-word.ts'
