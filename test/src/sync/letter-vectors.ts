import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { AgentId } from '@sealmesh/protocol/ids'
import { encodePayload, type SyncItem } from '@sealmesh/protocol/sync/payload'

const [alice, bob, carol] = ['a1', 'b2', 'c3'].map((byte) => byte.repeat(32) as AgentId) as [AgentId, AgentId, AgentId]
const MESSAGE = '{"version":1,"id":"m1"}'

const ITEMS = {
  letters: {
    type: 'letters',
    letters: [
      { sender: alice, recipients: [bob, carol], message: utf8(MESSAGE) },
      { sender: bob, recipients: [], message: new Uint8Array(0) },
    ],
  },
  'letters-taken': {
    type: 'letters-taken',
    answers: [
      { sender: alice, recipient: bob, id: 'm1', outcome: 'taken', atMs: 0 },
      { sender: alice, recipient: carol, id: 'm1', outcome: 'full', atMs: 1 },
      { sender: bob, recipient: carol, id: 'm-2_x', outcome: 'refused', atMs: 1_795_000_000_000 },
      { sender: bob, recipient: carol, id: 'm-2_x', outcome: 'dropped', atMs: Number.MAX_SAFE_INTEGER },
    ],
  },
} as const satisfies Record<string, SyncItem>

export const letterVectors = () => ({
  about: 'Payloads of one item each (docs/spec/08-sync.md §1), before their form byte. Bytes in hexadecimal.',
  payloads: Object.values(ITEMS).map((item) => ({ type: item.type, bytes: toHex(encodePayload([item])) })),
})

export const letterItems: readonly SyncItem[] = Object.values(ITEMS)
