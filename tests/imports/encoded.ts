/** The bytes of a text in an encoding of one or two bytes a character, which the platform can only read. */
export function encoded(text: string, encoding: string): Uint8Array {
  const table = tableOf(encoding)
  return Buffer.concat(
    [...text].map((character) => {
      const bytes = character < '\u0080' ? Buffer.from(character) : table.get(character)
      if (!bytes) throw new Error(`${encoding} has no ${character}`)
      return bytes
    }),
  )
}

const tables = new Map<string, Map<string, Buffer>>()

function tableOf(encoding: string): Map<string, Buffer> {
  const known = tables.get(encoding)
  if (known) return known
  const decoder = new TextDecoder(encoding as 'utf-8')
  const table = new Map<string, Buffer>()
  const add = (...bytes: number[]) => {
    const text = decoder.decode(Buffer.from(bytes))
    if ([...text].length === 1 && text !== '\ufffd' && !table.has(text)) table.set(text, Buffer.from(bytes))
  }
  for (let one = 0x80; one < 0x100; one++) add(one)
  if (/^(gbk|shift_jis|euc-kr|big5)$/.test(encoding))
    for (let lead = 0x81; lead < 0xff; lead++) for (let trail = 0x40; trail < 0xff; trail++) add(lead, trail)
  tables.set(encoding, table)
  return table
}
