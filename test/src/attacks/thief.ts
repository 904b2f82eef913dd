import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { readLog } from '@sealmesh/node/store/level/log-file'
import { ZlibDeflater } from '@sealmesh/node/sync/zlib-deflater'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { headerHash } from '@sealmesh/protocol/envelope/header-writer'
import { decodeInside } from '@sealmesh/protocol/envelope/inside'
import type { KeyPair, SealPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { unwrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { decodeFrame } from '@sealmesh/protocol/wire/frame'

/**
 * Somebody who has the disk of one node and all that the relay ever saw. He asks nobody and checks nothing: whatever a
 * key of his opens he reads.
 */

/** Every packet that nodes handed to the relay, from what crossed its wire. */
export const recordedPackets = (messages: readonly Uint8Array[]): Uint8Array[] =>
  messages.flatMap((message) => {
    const frame = decodeFrame(message)
    return frame.ok && frame.value.type === 'send' ? [...frame.value.packets] : []
  })

/** The private halves in the home's key files. */
export async function keysOf(home: string, sodium: Sodium): Promise<readonly KeyPair<SealPublicKey, 'seal'>[]> {
  const noDice = (): never => {
    throw new Error('a thief makes no keys')
  }
  return (await KeyStore.load(join(home, 'keys'), { sodium, random: noDice })).prekeys()
}

/** What one packet says, to whoever has these keys; undefined when none of them opens any of its boxes. */
export function read(
  packet: Uint8Array,
  keys: readonly KeyPair<SealPublicKey, 'seal'>[],
  sodium: Sodium,
): Uint8Array | undefined {
  const header = readPacketHeader(packet)
  if (!header.ok) return undefined
  const { bodyOffset, recipients } = header.value
  const hash = headerHash(packet.subarray(0, bodyOffset), sodium)
  const nonce = packet.subarray(bodyOffset, bodyOffset + 24)
  for (const { box } of recipients)
    for (const pair of keys) {
      const content = sodium.openBox(box, pair)
      const padded = content && sodium.decrypt(packet.subarray(bodyOffset + 24), hash, nonce, content)
      const inside = padded && decodeInside(padded)
      if (!inside?.ok) continue
      const payload = unwrapPayload(inside.value.inside.payload, new ZlibDeflater())
      return payload.ok ? payload.value : inside.value.inside.payload
    }
  return undefined
}

/**
 * Keys that lie anywhere on the disk, in whatever file and place, though no key file holds them: a record that was
 * deleted stays in a database until it is compacted.
 */
export function strayKeys(
  home: string,
  publicKeys: ReadonlySet<string>,
  sodium: Sodium,
): KeyPair<SealPublicKey, 'seal'>[] {
  const found: KeyPair<SealPublicKey, 'seal'>[] = []
  const tryOut = (seed: Uint8Array): void => {
    // No random seed has so few different bytes; most places on a disk do.
    if (new Set(seed).size < 20) return
    const pair = sodium.sealKeys(seed)
    if (publicKeys.has(toHex(pair.publicKey))) found.push(pair)
  }
  for (const bytes of filesOf(home)) {
    for (let at = 0; at + 32 <= bytes.length; at++) tryOut(bytes.subarray(at, at + 32))
    // Key files are text.
    for (const [hex] of bytes.toString('latin1').matchAll(/[0-9a-f]{64}/g)) tryOut(fromHex(hex))
  }
  return found
}

/** Every file of the home, and the records of its logs joined: a log cuts them every 32 KiB. */
export function filesOf(home: string): Buffer[] {
  return readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && existsSync(join(entry.parentPath, entry.name)))
    .flatMap((entry) => {
      const bytes = readFileSync(join(entry.parentPath, entry.name))
      if (!/^\d+\.log$/.test(entry.name)) return [bytes]
      return [bytes, ...readLog(bytes).records.map(({ payload }) => Buffer.from(payload))]
    })
}
