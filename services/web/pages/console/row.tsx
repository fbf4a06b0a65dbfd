/** @jsxRuntime automatic @jsxImportSource preact */

import type { ComponentChildren } from 'preact'

/** A name with its value, in a list of them. */
export function Row({ children, name }: { children: ComponentChildren; name: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}
