import { createHash } from 'node:crypto'
import { toHex } from '@sealmesh/protocol/bytes'
import type { ChunkId, PacketId, RelayId, SlotId, VaultId } from '@sealmesh/protocol/ids'
import type { LoginPublicKey, Signature } from '@sealmesh/protocol/keys'
import { DELIVERED, encodeFrame, type Frame, STORED } from '@sealmesh/protocol/wire/frame'

/** One frame of each kind and form, from which test/vectors/frames.json is made. */
const bytes = (what: string, length: number): Uint8Array =>
  Uint8Array.from(
    { length },
    (_, i) =>
      createHash('sha256')
        .update(`${what} ${i >> 5}`)
        .digest()[i & 31] ?? 0,
  )

const relay = toHex(bytes('relay', 32)) as RelayId
const packet = (n: number): PacketId => toHex(bytes(`packet ${n}`, 16)) as PacketId
const signature = bytes('signature', 64) as Signature
const slot = toHex(bytes('slot', 32)) as SlotId
const blob = bytes('blob', 2_048)
const chunk = (n: number): ChunkId => toHex(bytes(`chunk ${n}`, 32)) as ChunkId
const vault = toHex(bytes('vault', 32)) as VaultId
const login = {
  type: 'login',
  nonce: bytes('node nonce', 32),
  loginKey: bytes('login key', 32) as LoginPublicKey,
  chain: bytes('chain', 170),
  signature,
} as const

export const SAMPLES: readonly { readonly name: string; readonly frame: Frame }[] = [
  {
    name: 'challenge',
    frame: { type: 'challenge', relay, nonce: bytes('nonce', 32), generation: bytes('generation', 16) },
  },
  { name: 'login', frame: { ...login, claim: null } },
  { name: 'login without tokens', frame: { ...login, chain: new Uint8Array(), claim: null } },
  {
    name: 'login with a claim',
    frame: { ...login, claim: { proof: bytes('proof', 32), rootSignature: bytes('root', 64) as Signature } },
  },
  {
    name: 'welcome',
    frame: { type: 'welcome', counter: 300, frameBytesMax: 262_144, signature },
  },
  { name: 'goodbye', frame: { type: 'goodbye', reason: 'RELAY_RESTARTING', retryAfterMs: 1_500 } },
  { name: 'send', frame: { type: 'send', packets: [bytes('a', 3)] } },
  { name: 'send of several', frame: { type: 'send', packets: [bytes('a', 3), bytes('b', 200), bytes('c', 1)] } },
  {
    name: 'answer',
    frame: {
      type: 'answer',
      answers: [
        { packet: packet(1), outcomes: [DELIVERED] },
        { packet: packet(2), outcomes: [STORED, { outcome: 'refused', reason: 'QUOTA_BYTES' }, DELIVERED] },
      ],
    },
  },
  { name: 'deliver', frame: { type: 'deliver', packets: [{ sequence: 1, packet: bytes('a', 3) }] } },
  {
    name: 'deliver of several',
    frame: {
      type: 'deliver',
      packets: [
        { sequence: 127, packet: bytes('a', 127) },
        { sequence: 128, packet: bytes('b', 128) },
        { sequence: 2 ** 40, packet: bytes('c', 1) },
      ],
    },
  },
  { name: 'ack', frame: { type: 'ack', sequence: 16_384 } },
  { name: 'notice', frame: { type: 'notice', reason: 'DUPLICATE_LOGIN', retryAfterMs: 0 } },
  { name: 'notice that all is well again', frame: { type: 'notice', reason: null, retryAfterMs: 0 } },
  { name: 'lost', frame: { type: 'lost', count: 5 } },
  { name: 'drained', frame: { type: 'drained' } },
  { name: 'open', frame: { type: 'open', secrets: [bytes('yesterday', 32), bytes('today', 32)] } },
  { name: 'open of nothing', frame: { type: 'open', secrets: [] } },
  { name: 'enrol', frame: { type: 'enrol', request: 1, chain: bytes('chain', 40) } },
  { name: 'revoke', frame: { type: 'revoke', request: 2, revocation: bytes('revocation', 40) } },
  { name: 'done', frame: { type: 'done', request: 1, reason: null } },
  { name: 'done with a refusal', frame: { type: 'done', request: 2, reason: 'NOT_ADMIN' } },
  { name: 'read a slot', frame: { type: 'readSlot', request: 5, nonce: bytes('slot nonce', 16), slot } },
  {
    name: 'set a slot that is empty',
    frame: { type: 'setSlot', request: 6, nonce: bytes('slot nonce', 16), slot, expected: null, leastAgeMs: 0, blob },
  },
  {
    name: 'set a slot',
    frame: {
      type: 'setSlot',
      request: 300,
      nonce: bytes('slot nonce', 16),
      slot,
      expected: bytes('expected', 32),
      leastAgeMs: 15_503,
      blob,
    },
  },
  { name: 'slot', frame: { type: 'slot', request: 5, result: 'young', counter: 300, ageMs: 1_204, blob, signature } },
  {
    name: 'slot, set',
    frame: { type: 'slot', request: 6, result: 'set', counter: 1, ageMs: 0, blob: null, signature },
  },
  { name: 'ping', frame: { type: 'ping', number: 7 } },
  { name: 'pong', frame: { type: 'pong', number: 7 } },
  {
    name: 'names of the first chunks of a snapshot',
    frame: { type: 'vaultNames', request: 7, begin: true, chunks: [chunk(1), chunk(2)] },
  },
  { name: 'names of more chunks', frame: { type: 'vaultNames', request: 8, begin: false, chunks: [chunk(3)] } },
  { name: 'what a vault lacks', frame: { type: 'vaultLacks', request: 7, places: [1] } },
  {
    name: 'a chunk for a vault',
    frame: { type: 'vaultPut', request: 9, chunk: chunk(2), bytes: bytes('sealed', 130) },
  },
  { name: 'the end of a snapshot', frame: { type: 'vaultKeep', request: 10, root: chunk(1) } },
  { name: 'a question for vaults', frame: { type: 'vaultList', request: 11 } },
  {
    name: 'vaults',
    frame: {
      type: 'vaults',
      request: 11,
      vaults: [
        {
          vault,
          snapshots: [
            { number: 1, atMs: 1_700_000_000_000, chunks: 3, bytes: 300_000, root: chunk(1) },
            { number: 300, atMs: 1_700_086_400_000, chunks: 1, bytes: 2 ** 33, root: chunk(2) },
          ],
        },
      ],
    },
  },
  { name: 'a question for a chunk', frame: { type: 'vaultGet', request: 12, vault, chunk: chunk(1) } },
  { name: 'a chunk of a vault', frame: { type: 'vaultChunk', request: 12, bytes: bytes('sealed', 130) } },
  { name: 'a chunk of a vault that is gone', frame: { type: 'vaultChunk', request: 13, bytes: null } },
]

/** Bytes that are no frames, and what decoding must say of them. */
export const BAD: readonly { readonly name: string; readonly hex: string; readonly code: string }[] = [
  { name: 'nothing', hex: '', code: 'FRAME_SIZE' },
  { name: 'a type that nobody uses', hex: '7f', code: 'FRAME_MALFORMED' },
  { name: 'a challenge of version 2, whatever follows', hex: '0102ffff', code: 'VERSION_MISMATCH' },
  { name: 'a login of version 9', hex: '0209', code: 'VERSION_MISMATCH' },
  { name: 'a challenge that ends early', hex: '0101aabb', code: 'FRAME_MALFORMED' },
  { name: 'a goodbye without a known reason', hex: '04ff00', code: 'FRAME_MALFORMED' },
  { name: 'a send without packets', hex: '10', code: 'FRAME_MALFORMED' },
  { name: 'a packet longer than its frame', hex: '100503', code: 'FRAME_MALFORMED' },
  { name: 'a drained with something behind it', hex: '1600', code: 'FRAME_MALFORMED' },
  { name: 'an open of more than 64', hex: `1741${'00'.repeat(65 * 32)}`, code: 'FRAME_MALFORMED' },
  { name: 'an ack beyond 2^53', hex: '13ffffffffffffffffff01', code: 'FRAME_MALFORMED' },
  { name: 'a number that never ends', hex: '30ffffffffffffffffffffffffffffff', code: 'FRAME_MALFORMED' },
  { name: 'a snapshot that neither begins nor goes on', hex: '40070200', code: 'FRAME_MALFORMED' },
  { name: 'names of more than 1,024 chunks', hex: `4007018108${'00'.repeat(1_025 * 32)}`, code: 'FRAME_MALFORMED' },
  { name: 'a vault of more than three snapshots', hex: `450b01${'00'.repeat(32)}04`, code: 'FRAME_MALFORMED' },
  { name: 'an outcome that is none', hex: `11${'00'.repeat(16)}0102`, code: 'FRAME_MALFORMED' },
  {
    name: 'a slot question without its zeros',
    hex: `2305${'00'.repeat(48)}`,
    code: 'FRAME_MALFORMED',
  },
  {
    name: 'a slot question that ends in something else',
    hex: `2305${'00'.repeat(48 + 2_176)}01`,
    code: 'FRAME_MALFORMED',
  },
  {
    name: 'more outcomes than a packet has recipients',
    hex: `11${'00'.repeat(16)}21${'00'.repeat(33)}`,
    code: 'FRAME_MALFORMED',
  },
]

/** Bytes as hexadecimal in `{ hex }`, so that any language can read them. */
export const readable = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { hex: toHex(value) }
  if (Array.isArray(value)) return value.map(readable)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, readable(inner)]))
}

export const buildVectors = () => ({
  description: 'Frames between node and relay, wire version 1 (docs/spec/07-relay.md).',
  good: SAMPLES.map(({ name, frame }) => ({ name, hex: toHex(encodeFrame(frame)), frame: readable(frame) })),
  bad: BAD,
})
