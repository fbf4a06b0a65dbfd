import { callDirectly } from '../../../services/kit/outgoing.ts'
import { descriptorOf, SERVICE_NAMES } from '../../../services/registry.ts'
import type { RunningService } from '../../client/instance/running.ts'
import { type Check, type DoctorContext, ok, skipped, warning } from './check.ts'

/** Milliseconds to wait for a page. */
const TIMEOUT = 5000
/** The page that the link in a mail for a new password opens. */
const PAGE = '/reset-password'

export const pagesChecks: Check[] = [
  {
    id: 'pages.address',
    describes: '`PUBLIC_URL` has no path if the pages run: they are at the root of its host',
    async run(context) {
      const url = await publicUrl(context)
      if (url === undefined) return skipped('The settings are not valid')
      if (!(await pagesRun(context))) return skipped('The pages do not run on this machine')
      const { origin, pathname } = new URL(url)
      if (pathname === '/') return ok(`The pages are at ${url}`)
      return warning(`The pages are at ${origin}, but links in emails lead to ${url}`, `PUBLIC_URL=${origin}`)
    },
  },
  {
    id: 'pages.reset_password',
    describes: '`PUBLIC_URL/reset-password`, to which emails lead, answers with a page, while services run',
    async run(context) {
      const url = await publicUrl(context)
      if (url === undefined) return skipped('The settings are not valid')
      if ((await running(context)).length === 0) return skipped(`No service runs on ${context.dataDir}`)
      const fault = await pageFault(url + PAGE)
      if (fault === undefined) return ok(`Links in emails open a page: ${url + PAGE}`)
      const suggestion = (await pagesRun(context)) ? 'PUBLIC_URL=https://…' : 'ch202 start'
      return warning(`Links in emails open no page: ${url + PAGE} ${fault}`, suggestion)
    },
  },
]

async function running({ services }: DoctorContext): Promise<RunningService[]> {
  return (await services()).map((one) => one.running).filter(({ process }) => process !== undefined)
}

/** Whether a service of pages runs on this machine. */
async function pagesRun(context: DoctorContext): Promise<boolean> {
  return (await running(context)).some(({ service }) => descriptorOf(service).pagePaths !== undefined)
}

/** Whether an installation runs without pages. With a database they may run on another machine. */
export async function pagesAreAway(context: DoctorContext): Promise<boolean> {
  return context.databaseUrl === undefined && (await running(context)).length > 0 && !(await pagesRun(context))
}

/** The base of the links in mails; undefined if the settings are not valid. */
async function publicUrl(context: DoctorContext): Promise<string | undefined> {
  const { config } = context
  const all = await running(context)
  const isOneProcess = all.length === SERVICE_NAMES.length && new Set(all.map(({ pid }) => pid)).size === 1
  return isOneProcess ? config?.publicUrlAtOneAddress : config?.publicUrl
}

/** Why an address does not show a page; undefined if it does. */
async function pageFault(url: string): Promise<string | undefined> {
  try {
    const headers = { accept: 'text/html' }
    const answer = await callDirectly(url, { headers, signal: AbortSignal.timeout(TIMEOUT) })
    if (!answer.ok) return `answers with status ${answer.status}`
    const type = answer.headers.get('content-type') ?? 'nothing'
    return type.startsWith('text/html') ? undefined : `answers with ${type}`
  } catch (error) {
    const { code, name } = error as Error & { code?: string }
    return name === 'TimeoutError'
      ? `does not answer within ${TIMEOUT / 1000} s`
      : `cannot be reached (${code ?? name})`
  }
}
