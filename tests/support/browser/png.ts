import { crc32, deflateSync } from 'node:zlib'

/** Pixels of a picture: red, green, blue and alpha of each, row by row. */
export interface Pixels {
  width: number
  height: number
  data: Uint8Array
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const MOST_COLORS = 64

/**
 * Writes a small PNG with a palette (PNG 1.2). If a picture has more than 256 colours, rare ones are replaced.
 * @param note a text that the file also has
 */
export function encodePng({ data, height, width }: Pixels, note: string): Buffer {
  const { indexes, palette } = paletteOf(data)
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // 8 bits for each pixel, an index into the palette.
  header.set([8, 3, 0, 0, 0], 8)
  const rows = Buffer.alloc((width + 1) * height)
  for (let y = 0; y < height; y++) rows.set(indexes.subarray(y * width, (y + 1) * width), y * (width + 1) + 1)
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flat())),
    chunk('tEXt', Buffer.from(`Comment\0${note}`, 'latin1')),
    chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** The text that `encodePng` put into a file; undefined: it has none. */
export function noteOf(png: Buffer): string | undefined {
  for (let at = SIGNATURE.length; at + 8 <= png.length; at += png.readUInt32BE(at) + 12) {
    const content = png.subarray(at + 8, at + 8 + png.readUInt32BE(at))
    if (png.toString('latin1', at + 4, at + 8) === 'tEXt') return content.toString('latin1').split('\0')[1]
  }
  return undefined
}

function chunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(content.length)
  checksum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, checksum])
}

type Color = [red: number, green: number, blue: number]

/** Chooses the most frequent colours as the palette. Each other colour becomes the one that is nearest to it. */
function paletteOf(data: Uint8Array): { palette: Color[]; indexes: Uint8Array } {
  const keyAt = (at: number) => ((data[at] ?? 0) << 16) | ((data[at + 1] ?? 0) << 8) | (data[at + 2] ?? 0)
  const counts = new Map<number, number>()
  for (let at = 0; at < data.length; at += 4) counts.set(keyAt(at), (counts.get(keyAt(at)) ?? 0) + 1)
  const colors = [...counts].sort(([, a], [, b]) => b - a).map(([key]) => ({ key, color: colorOf(key) }))
  const palette = colors.slice(0, MOST_COLORS).map(({ color }) => color)
  const indexOf = new Map(colors.map(({ color, key }) => [key, nearest(palette, color)]))
  return {
    palette,
    indexes: Uint8Array.from({ length: data.length / 4 }, (_, pixel) => indexOf.get(keyAt(pixel * 4)) ?? 0),
  }
}

const colorOf = (key: number): Color => [key >> 16, (key >> 8) & 0xff, key & 0xff]

function nearest(palette: Color[], [red, green, blue]: Color): number {
  const distances = palette.map(([r, g, b]) => (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2)
  return distances.indexOf(Math.min(...distances))
}
