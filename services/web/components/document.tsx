/** @jsxRuntime automatic @jsxImportSource preact */

import type { ComponentChildren } from 'preact'
import { CONSOLE, mayOpenConsole } from '../request/console.ts'
import { useRequest } from './request-context.ts'

/** The frame of every page. */
export function Document({ children, title }: { children: ComponentChildren; title: string }) {
  const { context, locale } = useRequest()
  const { assets, config } = context
  return (
    <html lang={locale}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>{`${title} · ${config.productName}`}</title>
        <link rel="icon" href={assets.icon} type="image/svg+xml" />
        <link rel="stylesheet" href={assets.style} />
        {assets.ownStyle && <link rel="stylesheet" href={assets.ownStyle} />}
        <script src={assets.script} type="module" />
      </head>
      <body>{children}</body>
    </html>
  )
}

/** The logo, or the name of the product. */
function Brand() {
  const { assets, config } = useRequest().context
  return (
    <a class="brand" href="/">
      {assets.logo ? <img src={assets.logo} alt={config.productName} /> : config.productName}
    </a>
  )
}

function Footer() {
  const { context, texts } = useRequest()
  const { supportEmail } = context.config
  if (supportEmail === undefined) return null
  return (
    <footer>
      <a href={`mailto:${supportEmail}`}>{texts.help(supportEmail)}</a>
    </footer>
  )
}

/** A page with one card: for people who are not signed in, and for errors. */
export function CardPage({ after, children, title }: PageProps & { after?: ComponentChildren }) {
  return (
    <>
      <main class="narrow">
        <p class="brand-line">
          <Brand />
        </p>
        <div class="card">
          <h1>{title}</h1>
          {children}
        </div>
        {after && <p class="after">{after}</p>}
      </main>
      <Footer />
    </>
  )
}

interface PageProps {
  children: ComponentChildren
  title: string
}

const SECTIONS = [
  ['account', '/account'],
  ['security', '/account/security'],
  ['sessions', '/account/sessions'],
  ['modules', '/account/modules'],
  ['apps', '/account/apps'],
] as const

/** A page of a person's account. */
export function AccountPage({ children, lead, title }: PageProps & { lead?: string }) {
  const request = useRequest()
  const { label, ...names } = request.texts.nav
  const sections: { path: string; name: string }[] = SECTIONS.map(([name, path]) => ({ path, name: names[name] }))
  if (mayOpenConsole(request)) sections.push({ path: CONSOLE, name: names.console })
  return (
    <SignedInPage title={title} lead={lead} label={label} sections={sections}>
      {children}
    </SignedInPage>
  )
}

interface SignedInPageProps extends PageProps {
  lead?: string | undefined
  /** The name of the list of sections. */
  label: string
  sections: readonly { path: string; name: string }[]
  /** The path of the section that the page belongs to, if it is not that of the page. */
  section?: string | undefined
}

/** A page for someone who is signed in, with links to the sections beside it. */
export function SignedInPage({ children, label, lead, section, sections, title }: SignedInPageProps) {
  const { formToken, texts, url } = useRequest()
  const here = url.pathname.replace(/\/$/, '')
  const current = (path: string) => (path === here ? 'page' : path === section ? 'true' : undefined)
  return (
    <>
      <a class="skip" href="#content">
        {texts.skip}
      </a>
      <header class="top">
        <Brand />
        <form method="post" action="/sign-out">
          <input type="hidden" name="form_token" value={formToken} />
          <button type="submit" class="quiet">
            {texts.nav.signOut}
          </button>
        </form>
      </header>
      <main class="wide" id="content" tabIndex={-1}>
        <nav aria-label={label}>
          <ul>
            {sections.map(({ name, path }) => (
              <li key={path}>
                <a href={path} aria-current={current(path)}>
                  {name}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <h1>{title}</h1>
        {lead && <p class="muted">{lead}</p>}
        <Done />
        {children}
      </main>
      <Footer />
    </>
  )
}

/** A part of a page: its subject beside its content. */
export function Section({ children, lead, title }: PageProps & { lead?: string | undefined }) {
  return (
    <section class="card section">
      <div>
        <h2>{title}</h2>
        {lead && <p class="lead">{lead}</p>}
      </div>
      <div>{children}</div>
    </section>
  )
}

/** Says what was done, if the address has a word for it. */
export function Done() {
  const { texts, url } = useRequest()
  const word = url.searchParams.get('done') ?? ''
  if (!Object.hasOwn(texts.done, word)) return null
  return (
    <p class={word === 'ended' ? 'note' : 'note good'} role="status">
      {texts.done[word as keyof typeof texts.done]}
    </p>
  )
}
