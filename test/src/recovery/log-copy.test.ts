import { randomBytes } from 'node:crypto'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { openPacket } from '@sealmesh/protocol/envelope/open'
import { openLogCopy, sealLogCopy } from '@sealmesh/protocol/recovery/log-copy'
import { recoveryKeysOf } from '@sealmesh/protocol/recovery/recovery-keys'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))

const implementations = [await loadSodium('wasm'), await loadSodium('native')]

test.each(implementations)(
  'T-relay-12: one changed byte, and a copy of the log opens for nobody ($implementation)',
  (sodium) => {
    const keys = recoveryKeysOf(sodium.signKeys('root', new Uint8Array(32).fill(7)).secretKey, sodium)
    const mailbox = mailboxOf(keys.mailboxSecret, sodium)
    const mailboxes = new Set([mailbox])
    const records = [random(300), random(41)]
    const to = { mailbox, sealKey: keys.seal.publicKey, expiresMs: 1_800_000_000_000 }
    const packet = sealLogCopy(records, to, random, sodium)
    if (packet === undefined) throw new Error('it can be sealed')
    const open = (bytes: Uint8Array) => openLogCopy(bytes, { mailboxes, keys: [keys.seal] }, sodium)
    expect(open(packet.bytes)).toEqual(records)
    for (let at = 0; at < packet.bytes.length; at++)
      expect(open(packet.bytes.with(at, (packet.bytes[at] as number) ^ 1)), `byte ${at}`).toBeUndefined()
    for (let length = 0; length < packet.bytes.length; length += 7)
      expect(open(packet.bytes.subarray(0, length))).toBeUndefined()
    const stranger = sodium.sealKeys(random(32))
    expect(openLogCopy(packet.bytes, { mailboxes, keys: [stranger] }, sodium)).toBeUndefined()
    // Neither kind opens as the other, with the right key in hand.
    const at = {
      mesh: '00'.repeat(32),
      node: '00'.repeat(32),
      mailboxes,
      prekeys: [keys.seal],
      signKeyOf: () => undefined,
    }
    expect(openPacket(packet.bytes, at as never, sodium)).toMatchObject({ ok: false })
  },
)

test('the keys are the same from the same root on both implementations, and others from another', () => {
  const made = implementations.flatMap((sodium) =>
    [7, 8].map((fill) => {
      const { login, seal, mailboxSecret } = recoveryKeysOf(
        sodium.signKeys('root', new Uint8Array(32).fill(fill)).secretKey,
        sodium,
      )
      return [login.publicKey, seal.publicKey, mailboxSecret].map((key) => Buffer.from(key).toString('hex')).join()
    }),
  )
  expect(new Set(made).size).toBe(2)
})
