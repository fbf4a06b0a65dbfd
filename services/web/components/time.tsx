/** @jsxRuntime automatic @jsxImportSource preact */

import { useRequest } from './request-context.ts'

const TAGS = { en: 'en-GB', ru: 'ru' }

/** A moment, in UTC. The script of the pages shows it in the time zone of the browser. */
export function Time({ at }: { at: string }) {
  const { locale } = useRequest()
  const format = new Intl.DateTimeFormat(TAGS[locale], { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })
  return <time dateTime={at}>{`${format.format(new Date(at))} UTC`}</time>
}
