import { newEmail } from '../../support/actors.ts'
import { as, call } from '../../support/http.ts'
import { runTool } from '../../support/tool.ts'
import { type Actor, Sender } from './actor.ts'

/** Users of one import. */
const IMPORTED = 100
const HASH = `$2b$04$${'abcdefghij'.repeat(5)}abc`

/** Imports users, and knows which were acknowledged. */
export class ImportActor extends Sender implements Actor {
  private emails: string[] = []

  async work(stop: () => boolean): Promise<void> {
    while (!stop()) {
      const emails = Array.from({ length: IMPORTED }, () => newEmail())
      const lines = emails.map((email) => JSON.stringify({ email, password_hash: HASH })).join('\n')
      const headers = { ...as.operator, 'content-type': 'application/x-ndjson' }
      const answer = await this.send(this.system.url.users, 'POST /api/v1/users/import', { headers, body: lines })
      // The answer has a line for each user, and ends with the process.
      const created = (answer?.text.split('\n') ?? []).filter((line) => line.includes('"created"')).length
      if (created >= IMPORTED) this.emails.push(...emails)
      await Bun.sleep(500)
    }
  }

  async differences(): Promise<string[]> {
    const differences: string[] = []
    for (const email of this.emails) {
      const path = `GET /api/v1/users/by-email/${encodeURIComponent(email)}`
      const { status } = await call(this.system.url.users, path, { headers: as.operator })
      if (status !== 200) differences.push(`${email} was imported and is ${status}`)
    }
    this.emails = []
    return differences
  }
}

/** Replaces the signing key again and again. */
export class KeyActor extends Sender implements Actor {
  async work(stop: () => boolean): Promise<void> {
    while (!stop()) {
      await this.send(this.system.url.auth, 'POST /api/v1/admin/keys/rotate', { headers: as.operator, body: {} })
      for (let waited = 0; waited < 4000 && !stop(); waited += 100) await Bun.sleep(100)
    }
  }

  async differences(): Promise<string[]> {
    const { body, status } = await call(this.system.url.auth, 'GET /api/v1/admin/keys', { headers: as.operator })
    const active = body?.items?.filter(
      (key: { alg: string; status: string }) => key.alg === 'EdDSA' && key.status === 'active',
    ).length
    return status === 200 && active === 1 ? [] : [`${active} active signing keys: ${status}`]
  }
}

/** Backs up and verifies while everything runs and is killed; the last two stay. */
export class BackupActor implements Actor {
  private readonly failures: string[] = []
  made = 0

  constructor(private readonly env: Record<string, string>) {}

  async work(stop: () => boolean): Promise<void> {
    for (const words of ['backup create --keep 0s', 'backup verify']) {
      if (stop()) return
      const { status, stderr, stdout } = await runTool(words.split(' '), { env: this.env })
      if (status !== 0) this.failures.push(`${words}: ${status} ${stderr}${stdout}`)
      else if (words.startsWith('backup create')) this.made++
    }
  }

  async differences(): Promise<string[]> {
    return this.failures.splice(0)
  }
}
