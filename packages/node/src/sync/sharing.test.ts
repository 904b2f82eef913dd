import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { AgentId, BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import { expect, test, vi } from 'vitest'
import { HEARD_LATELY_MS } from './mesh-sync-limits.ts'
import { Sharing, type SharingDeps } from './sharing.ts'

const NAME: DocumentName = { agent: 'aa'.repeat(32) as AgentId, layer: 'semantic' }
const upTo = (sequence: number): VersionVector => [
  { incarnation: '11'.repeat(16) as IncarnationId, sequence, hash: '22'.repeat(32) as BlockHash },
]

test.each([
  ['who has more and was heard lately', upTo(3), HEARD_LATELY_MS, true],
  ['who has no more than is claimed', upTo(2), 0, false],
  ['who was not heard for long', upTo(3), HEARD_LATELY_MS + 1, false],
  ['who has said nothing of it', undefined, 0, false],
])('time passes for a transfer while somebody is there %s: %#', async (_, word, agoMs, passes) => {
  const nowMs = 1_000_000
  const peer = { core: { lastHeardAtMs: nowMs - agoMs, word: () => word, advanced: () => undefined } }
  let isHeard: boolean | undefined
  const documents = {
    catchUp: { documents: () => [] },
    giveUpSilent: async (ask: (name: DocumentName) => boolean) => void (isHeard = ask(NAME)),
  }
  const sharing = new Sharing({ documents, peers: () => [peer] } as unknown as SharingDeps)
  sharing.advanced(NAME, upTo(2), false)
  sharing.tick(nowMs)
  await vi.waitFor(() => expect(isHeard).toBe(passes))
})
