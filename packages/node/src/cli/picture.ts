import { renderUnicodeCompact } from 'uqr'

/** A QR code in half blocks, with the border that cameras need; light on dark, as most terminals are. */
export const picture = (text: string): string => renderUnicodeCompact(text, { ecc: 'L', border: 2 })
