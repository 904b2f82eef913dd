/** For commander: JSON where it is JSON, else the text itself. */
export function payloadOption(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
