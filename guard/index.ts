export { createGuard } from './create.ts'
export type {
  Caller,
  Checked,
  CheckOptions,
  Guard,
  GuardClient,
  GuardCredentials,
  GuardOptions,
  Log,
  LogLine,
  Middleware,
  MiddlewareContext,
  PrivateKeyClient,
  Rule,
  RuleOptions,
  SecretClient,
  Who,
} from './types.ts'
