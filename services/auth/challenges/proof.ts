import { Problem } from '../../kit/problem.ts'
import { type SyncContext, syncUser } from '../accounts/sync.ts'
import type { AddressProof, Requester, UsersPeer } from '../peers.ts'
import type { Account, AccountStore } from '../store/index.ts'

export type AddressProofContext = SyncContext & {
  store: AccountStore
  users: Pick<UsersPeer, 'proveAddress'>
}

/**
 * Tells users that someone reads the mails of an address, and stores the record that follows from it. When it resolves,
 * what the proof ended is refused everywhere.
 * @throws Problem `invalid_challenge` when the user is gone or has another address by now; what users throws
 */
export async function proveAddress(
  context: AddressProofContext,
  userId: string,
  proof: AddressProof,
  by: Requester,
): Promise<{ account: Account; wasVerified: boolean }> {
  const proved = await context.users.proveAddress(userId, proof, by)
  if (proved.outcome !== 'proved') throw new Problem('invalid_challenge')
  // Users has sent the change by now. In case that notice was lost, the record is stored before the answer.
  await syncUser(context, proved.record, by)
  const account = await context.store.accountById(userId)
  if (!account) throw new Problem('invalid_challenge')
  return { account, wasVerified: proved.wasVerified }
}
