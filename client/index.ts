/** `ch202/client`: signs users in, and keeps their session, in browsers, Bun and Node. `docs/browser.md` is the guide. */
export { createClient } from './create.ts'
export { Ch202Error, type ErrorCode } from './error.ts'
export type {
  Change,
  Client,
  ClientOptions,
  ClientStorage,
  Complete,
  ConfirmDevice,
  Credentials,
  EnrolFactor,
  FieldError,
  NewUser,
  PasskeyOptions,
  SecondFactor,
  SignInResult,
  User,
  VerifyEmail,
} from './types.ts'
