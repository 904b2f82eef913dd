import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Floor } from '@sealmesh/protocol/crdt/floor'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { TestNode } from './fixture.ts'
import type { TestHomes } from './test-homes.ts'

/** For tests: one block each of so many runs of these nodes, in turn, as each wrote after long silence: years ago. */
export function blocksOfRuns(
  homes: TestHomes,
  sodium: Sodium,
  name: DocumentName,
  nodes: readonly TestNode[],
  count: number,
  { floor = null, keys = 50 }: { floor?: Floor | null; keys?: number } = {},
): Block[] {
  const blocks: Block[] = []
  for (let at = 0; at < count; at++) {
    const node = nodes[at % nodes.length]!
    const before = blocks[at - keys]
    const replaced = before && { incarnation: before.header.incarnation, sequence: 1, hash: before.hash }
    const draft = {
      mesh: homes.mesh.id,
      document: name,
      author: node.id,
      incarnation: homes.mint(node) satisfies IncarnationId,
      sequence: 1,
      previous: null,
      time: { wallMs: 1_700_000_000_000 + at, counter: 0 },
      logHeads: homes.mesh.mesh.heads,
      floor,
      received: [],
      term: null,
    }
    const replaces = replaced === undefined ? [] : [replaced]
    const writes = [{ type: 'set' as const, key: `k${at % keys}`, value: `v${at}`, replaces }]
    blocks.push(signBlock({ ...draft, writes }, node.keys.secretKey, sodium))
  }
  return blocks
}
