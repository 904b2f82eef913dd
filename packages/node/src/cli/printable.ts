/**
 * What came from other machines may hold control characters, and a terminal obeys those: it can be told to rewrite
 * what stands on it. So on a terminal they are shown as `\x1b`; pipes and files get every byte as it is.
 */
// oxlint-disable-next-line no-control-regex -- these are what it looks for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

export const printable = (text: string): string =>
  text.replace(CONTROL, (character) => {
    const code = character.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })

/** One line of a table or a message: line breaks and tabs would tear it apart. */
export const oneLine = (text: string, charactersMax = Number.POSITIVE_INFINITY): string => {
  const line = printable(text).replace(/\s+/g, ' ')
  const characters = Array.from(line)
  return characters.length <= charactersMax ? line : `${characters.slice(0, charactersMax - 1).join('')}…`
}
