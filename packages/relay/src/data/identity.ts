import { fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, SignPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type DataDirectory, readPrivate, writePrivate } from './data-directory.ts'

const PREFIX = 'relay_seed_'

/** The relay's key, whose public half is its id. Made at the first start; nodes know the relay by it alone. */
export async function loadIdentity(
  data: DataDirectory,
  sodium: Sodium,
  random: (bytes: number) => Uint8Array,
): Promise<{ relay: RelayId; keys: KeyPair<SignPublicKey, 'sign'>; fresh: boolean }> {
  const text = await readPrivate(data.key)
  const seed = text === undefined ? random(32) : parseSeed(text, data.key)
  if (text === undefined) await writePrivate(data.key, `${PREFIX}${toHex(seed)}\n`)
  const keys = sodium.signKeys('sign', seed)
  return { relay: toHex(keys.publicKey) as RelayId, keys, fresh: text === undefined }
}

function parseSeed(text: string, path: string): Uint8Array {
  const line = text.trim()
  const hex = line.startsWith(PREFIX) ? line.slice(PREFIX.length) : ''
  if (!isHex(hex, 32))
    throw new Failure('KEY_DAMAGED', `The relay's key file is damaged: ${path}.`, {
      next: 'restore it from a backup; a new key would be another relay to every node',
    })
  return fromHex(hex)
}
