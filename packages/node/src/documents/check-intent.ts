import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { Failure } from '@sealmesh/protocol/errors'
import { REGISTER_KEY_BYTES_MAX, REGISTER_VALUE_BYTES_MAX, TEXT_UPDATE_BYTES_MAX } from '@sealmesh/protocol/limits'

/** What no block could hold is refused before it joins others: why, of the first. */
export function flawOf(intents: readonly Intent[]): Failure | undefined {
  for (const intent of intents) {
    const flaw = flawOfOne(intent)
    if (flaw !== undefined) return flaw
  }
  return undefined
}

function flawOfOne(intent: Intent): Failure | undefined {
  if (intent.type === 'text')
    return intent.update.length <= TEXT_UPDATE_BYTES_MAX
      ? undefined
      : tooLarge(`One edit of a text may have ${TEXT_UPDATE_BYTES_MAX} bytes; this one is larger.`)
  if (intent.key === '' || isLonger(intent.key, REGISTER_KEY_BYTES_MAX) || !intent.key.isWellFormed())
    return new Failure('UMR_INVALID', `A key has 1 to ${REGISTER_KEY_BYTES_MAX} bytes of well-formed text.`)
  if (intent.type === 'delete') return undefined
  if (!intent.value.isWellFormed())
    return new Failure('VALUE_INVALID', 'The value holds half a character, which has no UTF-8 form.')
  return isLonger(intent.value, REGISTER_VALUE_BYTES_MAX)
    ? tooLarge(`A register holds up to ${REGISTER_VALUE_BYTES_MAX} bytes; this value is larger.`)
    : undefined
}

const tooLarge = (message: string): Failure => new Failure('VALUE_TOO_LARGE', message)

/** In UTF-8; three bytes at most for each code unit, so most need no counting. */
const isLonger = (text: string, bytesMax: number): boolean =>
  text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax
