import type { Sealing } from '../../kit/tokens/sealing.ts'
import type { FactorStore } from '../store/index.ts'
import { totpSecretName } from './check-code.ts'

/** Secrets that are read at once. */
const PAGE = 500

/** Reseals secrets that an older CH202_SECRET sealed with the first one, so that the older one can be removed. */
export async function resealTotps({ sealing, store }: { sealing: Sealing; store: FactorStore }): Promise<void> {
  for (let after = ''; ; ) {
    const page = await store.sealedTotps(after, PAGE)
    for (const { id, sealedSecret, userId } of page) {
      const name = totpSecretName(userId, id)
      if (sealing.isByFirst(sealedSecret, name)) continue
      const secret = sealing.open(sealedSecret, name)
      if (secret) await store.resealTotp(id, sealing.seal(secret, name))
    }
    const last = page.at(-1)
    if (!last || page.length < PAGE) return
    after = last.id
  }
}
