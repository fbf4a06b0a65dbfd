import { renderSVG } from 'uqr'

/** Draws a text as a QR code, in SVG: black on white, whatever the colours around it, or apps cannot read it. */
export function qrCode(text: string): string {
  return renderSVG(text, { ecc: 'M', border: 4, pixelSize: 4 })
}
