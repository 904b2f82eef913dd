import { MESSAGE_DEPTH_MAX } from '@sealmesh/protocol/messages/limits'

/** Payloads as JSON text: what a sender says is looked through once, at the door, and goes on as it is. */

/** Undefined for what nests deeper than anything here would follow. */
export function payloadText(payload: unknown): string | undefined {
  try {
    return JSON.stringify(payload)
  } catch {
    return undefined
  }
}

/** What a frame brought, as a line may hold it; undefined for what is no JSON. Nothing is null, as in a line without it. */
export function framedText(text: string): string | undefined {
  if (text === '') return 'null'
  try {
    const payload: unknown = JSON.parse(text)
    // Between two values JSON allows what would end the line of an agent that reads lines.
    return /[\n\r]/.test(text) ? payloadText(payload) : text
  } catch {
    return undefined
  }
}

/** `text`: JSON, of a payload or with so many around it. */
export function isTooDeep(text: string, around = 0): boolean {
  const most = MESSAGE_DEPTH_MAX + around
  // What is shorter cannot open and close so many.
  if (text.length <= 2 * most) return false
  let depth = 0
  let isText = false
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (isText) {
      if (character === BACKSLASH) at += 1
      else if (character === QUOTE) isText = false
    } else if (character === QUOTE) isText = true
    else if (character === OPEN_LIST || character === OPEN_OBJECT) {
      depth += 1
      if (depth > most) return true
    } else if (character === CLOSE_LIST || character === CLOSE_OBJECT) depth -= 1
  }
  return false
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]
