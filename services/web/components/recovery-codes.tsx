/** @jsxRuntime automatic @jsxImportSource preact */

import { useRequest } from './request-context.ts'

/** The id of the list that the script copies. */
const LIST = 'recovery-codes'

/**
 * Shows new recovery codes. They are in this answer alone. Without a script they can be selected, and downloaded all the
 * same: the file is in the link.
 * @param next the address to which the person goes on
 */
export function RecoveryCodes({ codes, next }: { codes: readonly string[]; next: string }) {
  const { context, texts } = useRequest()
  const { recovery } = texts
  const file = [`${context.config.productName}: ${recovery.title}`, '', ...codes, ''].join('\r\n')
  return (
    <>
      <p>{recovery.lead}</p>
      <p class="note">{recovery.warning}</p>
      <ul class="codes" id={LIST}>
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <div class="actions spaced">
        <button type="button" class="quiet" hidden data-does="print">
          {recovery.print}
        </button>
        <button type="button" class="quiet" hidden data-does="copy" data-of={LIST} data-done={recovery.copied}>
          {recovery.copy}
        </button>
        <a
          class="button quiet"
          download={recovery.file}
          href={`data:text/plain;charset=utf-8,${encodeURIComponent(file)}`}
        >
          {recovery.download}
        </a>
      </div>
      <a class="button full" href={next}>
        {recovery.goOn}
      </a>
    </>
  )
}
