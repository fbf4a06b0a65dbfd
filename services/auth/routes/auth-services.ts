import type { Config } from '../../kit/process/config.ts'
import type { AccountsContext } from '../accounts/admin.ts'
import type { CurrentUserContext } from '../accounts/current-user.ts'
import type { AuditListContext, AuditRecordingContext } from '../audit/admin.ts'
import type { AccountMailsContext } from '../challenges/account-mails.ts'
import type { ComposeContext } from '../challenges/compose.ts'
import type { EmailChangeContext } from '../challenges/email-change.ts'
import type { InvitationContext } from '../challenges/invitations.ts'
import type { ResetContext } from '../challenges/password-reset.ts'
import type { Erasures } from '../erasure/erasures.ts'
import type { FactorsOfOthersContext } from '../factors/admin.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { KeyRotation } from '../keys/rotation.ts'
import type { EnrolmentContext } from '../login/enrolment.ts'
import type { LoginLimitsContext } from '../login/limits-admin.ts'
import type { LoginContext } from '../login/login.ts'
import type { LoginCount } from '../login/outcome.ts'
import type { RegistrationContext } from '../login/registration.ts'
import type { SecondFactorContext } from '../login/second-factor.ts'
import type { MailsContext } from '../mail/admin.ts'
import type { AuthorizeContext } from '../oauth/authorize.ts'
import type { ClientsContext } from '../oauth/clients.ts'
import type { GrantsContext } from '../oauth/grants.ts'
import type { LogoutRequestContext } from '../oauth/logout-request.ts'
import type { TokenContext } from '../oauth/token.ts'
import type { IntrospectionContext } from '../sessions/introspection.ts'
import type { TokenRevocationContext } from '../sessions/logout.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { WebhooksContext } from '../webhooks/admin.ts'
import type { DeliveriesContext } from '../webhooks/deliveries-admin.ts'
import type { IngestContext } from '../webhooks/ingest.ts'

/**
 * All that the functions of auth take: the routes pass it to each function, which sees only the context that it names.
 */
export type AuthServices = AccountsContext &
  AccountMailsContext &
  AuditListContext &
  AuditRecordingContext &
  AuthorizeContext &
  ClientsContext &
  CurrentUserContext &
  Omit<ComposeContext, 'texts'> &
  DeliveriesContext &
  EmailChangeContext &
  EnrolmentContext &
  FactorsOfOthersContext &
  GrantsContext &
  IngestContext &
  IntrospectionContext &
  InvitationContext &
  LoginContext &
  LoginCount &
  LoginLimitsContext &
  LogoutRequestContext &
  SecondFactorContext &
  MailsContext &
  RegistrationContext &
  ResetContext &
  TokenContext &
  TokenRevocationContext &
  WebhooksContext & {
    keyRing: KeyRing
    rotation: KeyRotation
    feed: RevocationFeed
    erasures: Pick<Erasures, 'request'>
    config: Config
  }
