import { Failure } from '@sealmesh/protocol/errors'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { VaultListing } from '@sealmesh/protocol/wire/vault'

/** What a node asks of a relay's vault, less the number of the request. */
type Asked = 'vaultNames' | 'vaultPut' | 'vaultKeep' | 'vaultList' | 'vaultGet'
export type VaultQuestion = { [Type in Asked]: Omit<FrameOf<Type>, 'request'> }[Asked]

/** Of names: the places of those that are not there. Of a chunk: its bytes, null when it is not there. */
export type VaultAnswer<Question extends VaultQuestion> = Question['type'] extends 'vaultNames'
  ? readonly number[]
  : Question['type'] extends 'vaultList'
    ? readonly VaultListing[]
    : Question['type'] extends 'vaultGet'
      ? Uint8Array | null
      : undefined

/** Throws RELAY_WRONG_KEY for an answer to another kind of question. */
export function judgeVault<Question extends VaultQuestion>(
  question: Question,
  frame: FrameOf<'slot' | 'vaultLacks' | 'vaults' | 'vaultChunk'> | null,
): VaultAnswer<Question> {
  return answerTo(question, frame) as VaultAnswer<Question>
}

function answerTo(
  { type }: VaultQuestion,
  frame: FrameOf<'slot' | 'vaultLacks' | 'vaults' | 'vaultChunk'> | null,
): readonly number[] | readonly VaultListing[] | Uint8Array | null | undefined {
  if (frame === null && (type === 'vaultPut' || type === 'vaultKeep')) return undefined
  if (frame?.type === 'vaultLacks' && type === 'vaultNames') return frame.places
  if (frame?.type === 'vaults' && type === 'vaultList') return frame.vaults
  // A copy: the frame's memory is the socket's.
  if (frame?.type === 'vaultChunk' && type === 'vaultGet') return frame.bytes && Uint8Array.from(frame.bytes)
  throw new Failure('RELAY_WRONG_KEY', 'The relay answered a question about its vault with something else.')
}
