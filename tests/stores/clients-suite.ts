import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { AuthStore, Client } from '../../services/auth/store/index.ts'
import { HOUR, MINUTE } from '../../services/kit/clock.ts'
import { EVERY_VERSION } from '../../services/kit/tokens/revocations.ts'
import { event, id, NOW } from './auth-suite.ts'

/** When the last token of a client expires, and how long the revocation stays: a clock may be an hour ahead. */
const UNTIL = NOW + HOUR
const MARGIN = HOUR + MINUTE
const REVOKED_UNTIL = UNTIL + MARGIN
const MOST = 1000

/** A client, with values of every kind. */
export function clientOf(changes: Partial<Client> = {}): Client {
  const clientId = id()
  return {
    id: clientId,
    name: `Client ${clientId}`,
    kind: 'confidential',
    firstParty: true,
    redirectUris: ['https://shop.example.org/', 'https://shop.example.org/ä'],
    postLogoutRedirectUris: [],
    backchannelLogoutUri: null,
    grantTypes: ['authorization_code', 'client_credentials'],
    scopes: ['openid', 'users:read'],
    resources: ['https://orders.example.org'],
    idTokenAlg: 'ES256',
    tokenAuthMethod: 'private_key_jwt',
    jwksUri: 'https://shop.example.org/jwks.json',
    requirePkce: false,
    status: 'active',
    createdAt: NOW,
    version: 1,
    grantsFrom: 0,
    ...changes,
  }
}

/**
 * The tests of clients that every auth store must pass.
 * @param open opens an empty store, which the suite closes
 */
export function clientStoreSuite(open: () => Promise<AuthStore>): void {
  let store: AuthStore
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())

  const hash = (fill: number) => new Uint8Array(32).fill(fill)
  const add = async (changes: Partial<Client> = {}, secret: Uint8Array | null = null) => {
    const client = clientOf(changes)
    expect(await store.addClient(client, secret, MOST, event())).toBe('added')
    return client
  }
  const secretsOf = async (clientId: string) => (await store.clientSecrets(clientId)).map(([first]) => first)
  const auditCount = async (type: string) => (await store.listAuditEvents({ type }, { size: 200, page: 1 })).rows.length
  /** The entries of the feed that `work` writes. */
  const revocationsOf = async (work: () => Promise<unknown>) => {
    const before = await store.lastRevocation()
    await work()
    const { revocations } = await store.revocationsAfter(before, 10)
    return revocations.map(({ kind, subject, until, version }) => ({ kind, subject, until, version }))
  }
  const keep = { endsTokens: false, endsSecrets: false }

  test('a client is returned as it was added, and the oldest comes first', async () => {
    const [second, first] = [await add({ createdAt: NOW + 1 }), await add({ createdAt: NOW - 1, jwksUri: null })]
    expect([await store.client(first.id), await store.client(second.id)]).toEqual([first, second])
    expect((await store.clients()).map((client) => client.id)).toEqual([first.id, second.id])
    expect(await store.client(id())).toBeNull()
  })

  test('a name belongs to one client, and their number is limited', async () => {
    const { name } = await add()
    const type = `refused.${id()}`
    expect(await store.addClient(clientOf({ name }), hash(1), MOST, event(type))).toBe('name_taken')
    const { length } = await store.clients()
    expect(await store.addClient(clientOf(), hash(1), length, event(type))).toBe('too_many')
    expect([(await store.clients()).length, await auditCount(type)]).toEqual([length, 0])
  })

  test('of several clients with one name at once, one is added', async () => {
    const name = id()
    const added = await Promise.all([1, 2, 3, 4, 5].map(() => store.addClient(clientOf({ name }), null, MOST, event())))
    expect(added.sort()).toEqual(['added', ...Array(4).fill('name_taken')])
  })

  test('a change raises the version and writes a revocation only if tokens end', async () => {
    const client = await add({}, hash(7))
    const renamed = { ...client, name: id() }
    expect(
      await revocationsOf(async () => {
        const change = await store.changeClient(client.id, () => ({ client: renamed, ...keep }), UNTIL, event())
        expect(change).toMatchObject({ outcome: 'changed', client: renamed })
      }),
    ).toEqual([])
    const disabled = { ...renamed, status: 'disabled' } as const
    expect(
      await revocationsOf(async () => {
        const ends = { client: disabled, endsTokens: true, endsSecrets: false }
        const change = await store.changeClient(client.id, () => ends, UNTIL, event())
        expect(change).toMatchObject({ outcome: 'changed', client: { ...disabled, version: 2, grantsFrom: 2 } })
      }),
    ).toEqual([{ kind: 'user', subject: client.id, version: 2, until: REVOKED_UNTIL }])
    expect(await store.client(client.id)).toEqual({ ...disabled, version: 2, grantsFrom: 2 })
    expect(await secretsOf(client.id)).toEqual([7])
  })

  test('a change that is refused changes nothing', async () => {
    const [client, other] = [await add({}, hash(8)), await add()]
    const type = `refused.${id()}`
    const renaming = { client: { ...client, name: other.name }, endsTokens: true, endsSecrets: true }
    expect(
      await revocationsOf(async () => {
        expect(await store.changeClient(client.id, () => renaming, UNTIL, event(type))).toEqual({
          outcome: 'name_taken',
        })
        expect(await store.changeClient(id(), () => renaming, UNTIL, event(type))).toEqual({ outcome: 'not_found' })
        const refuse = () => {
          throw new Error('refused')
        }
        expect(store.changeClient(client.id, refuse, UNTIL, event(type))).rejects.toThrow('refused')
      }),
    ).toEqual([])
    expect([await store.client(client.id), await secretsOf(client.id), await auditCount(type)]).toEqual([
      client,
      [8],
      0,
    ])
  })

  test('a client keeps its newest two secrets, or one, whatever the clock says', async () => {
    const client = await add({}, hash(101))
    const rotate = (fill: number, isOnlyOne = false, createdAt = NOW) =>
      store.addClientSecret({ clientId: client.id, hash: hash(fill), createdAt }, isOnlyOne, event())
    expect([await rotate(109), await secretsOf(client.id)]).toEqual([true, [109, 101]])
    expect([await rotate(103), await secretsOf(client.id)]).toEqual([true, [103, 109]])
    expect([await rotate(105, false, NOW - HOUR), await secretsOf(client.id)]).toEqual([true, [105, 103]])
    expect([await rotate(104, true), await secretsOf(client.id)]).toEqual([true, [104]])
    await Promise.all([115, 116, 117, 118, 119].map((fill) => rotate(fill)))
    expect(await secretsOf(client.id)).toHaveLength(2)
    await store.changeClient(client.id, () => ({ client, endsTokens: false, endsSecrets: true }), UNTIL, event())
    expect(await secretsOf(client.id)).toEqual([])
    const nobody = { clientId: id(), hash: hash(150), createdAt: NOW }
    expect([await store.addClientSecret(nobody, false, event()), await secretsOf(nobody.clientId)]).toEqual([false, []])
  })

  test('a removed client takes its secrets and all its tokens with it', async () => {
    const [client, other] = [await add({}, hash(21)), await add({}, hash(22))]
    expect(await revocationsOf(() => store.removeClient(client.id, UNTIL, event()))).toEqual([
      { kind: 'user', subject: client.id, version: EVERY_VERSION, until: REVOKED_UNTIL },
    ])
    expect([await store.client(client.id), await secretsOf(client.id), await secretsOf(other.id)]).toEqual([
      null,
      [],
      [22],
    ])
    expect(await store.removeClient(client.id, UNTIL, event())).toBeNull()
  })

  test('an assertion is used once, also at the same moment, and remembered until it has expired by every clock', async () => {
    const uses = await Promise.all(Array.from({ length: 20 }, () => store.useAssertion(hash(31), NOW + 5)))
    expect(uses.filter(Boolean)).toHaveLength(1)
    expect(await store.useAssertion(hash(32), NOW + 5)).toBe(true)
    await store.forgetFactors(NOW + 5 + MARGIN)
    expect(await store.useAssertion(hash(31), NOW + 5)).toBe(false)
    await store.forgetFactors(NOW + 6 + MARGIN)
    expect(await store.useAssertion(hash(31), NOW + 9)).toBe(true)
  })

  test('a revoked token of a client is in the feed by its jti', async () => {
    const jti = id()
    expect(await revocationsOf(() => store.revokeClientToken(jti, UNTIL, event()))).toEqual([
      { kind: 'session', subject: jti, version: 0, until: UNTIL },
    ])
  })

  test('dropping a user from the password cache does not touch clients', async () => {
    const client = await add({}, hash(41))
    await store.dropAccount(id(), event())
    expect([await store.client(client.id), await secretsOf(client.id)]).toEqual([client, [41]])
  })
}
