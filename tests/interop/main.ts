/**
 * Runs software of others against Ch202: `bun run interop` runs all, `bun run interop tokens pocketbase` some. Libraries of other
 * languages verify access tokens (`tokens`), and people sign in to apps. Needs Go, Java 17 with Maven, Cargo, Python, and Chromium,
 * and downloads what it runs; the exit status is 1 if something did not work.
 */
import { PARTIES, tryParty } from './parties/parties.ts'
import { judgeTokens } from './tokens.ts'

const names = process.argv.slice(2)
const isWanted = (name: string) => names.length === 0 || names.includes(name)
let faults = 0
if (isWanted('tokens')) faults += await judgeTokens()
for (const party of PARTIES) if (isWanted(party.name)) faults += (await tryParty(party)) ? 0 : 1
process.exitCode = faults === 0 ? 0 : 1
