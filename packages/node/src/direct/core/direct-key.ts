import { concatBytes, encode, fromHex, toHex, utf8, writeFixed, writeUint } from '@sealmesh/protocol/bytes'
import type { MeshId, RecordHash, RelayId } from '@sealmesh/protocol/ids'
import { type LoginPublicKey, Secret } from '@sealmesh/protocol/keys'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { TAGS } from '@sealmesh/protocol/tags'

/**
 * What all members of a mesh can work out and no relay or neighbour can (docs/spec/18-direct-links.md §2). It opens nothing:
 * by it members know each other before either has said who it is. Who was removed knows it still, and is refused by
 * its login.
 */
export type DirectKey = Secret<'content'>

/** Undefined while the log has no founding record. */
export function directKeyOf(mesh: Pick<Mesh, 'id' | 'records' | 'voided'>, sodium: Sodium): DirectKey | undefined {
  for (const [hash, { body }] of mesh.records)
    if (body.type === 'found' && !mesh.voided.has(hash)) return keyOf(mesh.id, hash, sodium)
  return undefined
}

const keyOf = (mesh: MeshId, found: RecordHash, sodium: Sodium): DirectKey =>
  new Secret('content', sodium.hash([TAGS.directKey, fromHex(mesh)], 32, fromHex(found)))

/** What a listening node's challenge has in the place of a relay's id: another one each time, which members recognise. */
export const directIdOf = (key: DirectKey, listener: LoginPublicKey, nonce: Uint8Array, sodium: Sodium): RelayId =>
  toHex(sodium.hash([TAGS.directId, listener, nonce], 32, key.expose())) as RelayId

export const BEACON_BYTES = 16

/** What an announcement on a LAN shows to members, good on one day (UTC) for one instance name and port. */
export const beaconOf = (
  key: DirectKey,
  { day, instance, port }: { readonly day: number; readonly instance: string; readonly port: number },
  sodium: Sodium,
): string => {
  const subject = encode((writer) => {
    writeUint(writer, day)
    writeUint(writer, port)
    writeFixed(writer, utf8(instance))
  })
  return toHex(sodium.hash([concatBytes(TAGS.directBeacon, subject)], BEACON_BYTES, key.expose()))
}
