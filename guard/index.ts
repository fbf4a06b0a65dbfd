export { createGuard } from './create.ts'
export type {
  Caller,
  Checked,
  CheckOptions,
  Guard,
  GuardOptions,
  Log,
  LogLine,
  Middleware,
  MiddlewareContext,
  Rule,
  Who,
} from './types.ts'
