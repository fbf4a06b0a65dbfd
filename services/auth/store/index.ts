import type { LimitStore } from '../../kit/limits.ts'
import type { NodeStore } from '../../kit/nodes/nodes.ts'
import type { AccountStore } from './accounts.ts'
import type { AuditStore } from './audit.ts'
import type { ChallengeStore, DeviceStore } from './challenges.ts'
import type { ClientLogoutStore } from './client-logouts.ts'
import type { ClientStore } from './clients.ts'
import type { DeliveryStore } from './deliveries.ts'
import type { ErasureStore } from './erasures.ts'
import type { EventStore } from './events.ts'
import type { FactorStore } from './factors.ts'
import type { FactStore } from './facts.ts'
import type { FigureStore } from './figures.ts'
import type { GrantStore } from './grants.ts'
import type { KeyStore } from './keys.ts'
import type { LoginLimitStore } from './login-limits.ts'
import type { MailListStore, MailStore } from './mails.ts'
import type { RevocationStore } from './revocations.ts'
import type { SessionStore } from './sessions.ts'
import type { WebhookStore } from './webhooks.ts'

export { MAIL_KINDS, type MailKind, type MailStatus } from '../../kit/schema/mails.ts'
export type { Account, AccountStore, CacheSync, SyncedAccount } from './accounts.ts'
export type { AuditFilter, AuditStore, ChainedEvent, ChainPart, TrimmedRows } from './audit.ts'
export type {
  Challenge,
  ChallengeData,
  ChallengeKey,
  ChallengeOptions,
  ChallengePurpose,
  ChallengeStore,
  Device,
  DeviceClient,
  DeviceStore,
  Issue,
  LoginPurpose,
  MailedPurpose,
  WaitingLogin,
} from './challenges.ts'
export type { ClientLogout, ClientLogoutStore, DueLogout } from './client-logouts.ts'
export type {
  Client,
  ClientChange,
  ClientSettings,
  ClientStore,
  GrantType,
  TokenAuthMethod,
} from './clients.ts'
export type {
  AttemptedDelivery,
  AttemptResult,
  Delivery,
  DeliveryFilter,
  DeliveryStatus,
  DeliveryStore,
} from './deliveries.ts'
export type { DueErasure, Erasure, ErasureStore, Remains } from './erasures.ts'
export type { EventStore } from './events.ts'
export type {
  Enrolment,
  EnrolmentResult,
  FactorStore,
  FactorsOfUser,
  Passkey,
  PasskeyLogin,
  SecondFactorMethod,
  Totp,
  TotpForm,
  UsedChallenge,
} from './factors.ts'
export type { FactStore } from './facts.ts'
export type { FigureStore } from './figures.ts'
export type {
  AuthorizationCode,
  CodeResult,
  CodeUse,
  ConsentOfUser,
  Grant,
  GrantEnding,
  GrantStore,
  ListedGrant,
} from './grants.ts'
export type { KeyStore, StoredKey } from './keys.ts'
export type { LoginFailures, LoginLimitStore, RefusedBy, RefusedLogin, RefusedPosition } from './login-limits.ts'
export type {
  ListedMail,
  MailData,
  MailEnd,
  MailFilter,
  MailListStore,
  MailRequest,
  MailRow,
  MailStore,
  NoticeCause,
  RetryResult,
} from './mails.ts'
export type { Ended, RevocationStore } from './revocations.ts'
export type { Ending, Rotation, RotationResult, Session, SessionKind, SessionStore } from './sessions.ts'
export type { Webhook, WebhookStatusChange, WebhookStore } from './webhooks.ts'

/**
 * Everything that the auth service stores, one interface per subject; functions take only the parts they use. Each method
 * is one transaction; a method that takes an audit event writes its row in that transaction. All of them are asynchronous,
 * except `epoch`, `subscribedTypes`, `trustSubscribedTypes`, `onClientLogouts`, `onDeliveries` and `isShared`, which work in memory.
 */
export interface AuthStore
  extends AccountStore,
    AuditStore,
    ChallengeStore,
    ClientLogoutStore,
    ClientStore,
    DeliveryStore,
    DeviceStore,
    ErasureStore,
    EventStore,
    FactorStore,
    FactStore,
    FigureStore,
    GrantStore,
    KeyStore,
    LimitStore,
    LoginLimitStore,
    MailListStore,
    MailStore,
    NodeStore,
    RevocationStore,
    SessionStore,
    WebhookStore {
  close(): Promise<void>
}
