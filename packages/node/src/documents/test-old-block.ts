import type { Block, Write } from '@sealmesh/protocol/crdt/block'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { TestNode } from './fixture.ts'
import type { TestHomes } from './test-homes.ts'

/** For tests: the only block of a run, as if written long ago. It says of nothing that its author had received it. */
export function oldBlock(homes: TestHomes, sodium: Sodium, by: TestNode, writes: readonly Write[]): Block {
  const draft = {
    mesh: homes.mesh.id,
    document: homes.semantic,
    author: by.id,
    incarnation: homes.mint(by),
    sequence: 1,
    previous: null,
    time: { wallMs: 1_700_000_000_000, counter: 0 },
    logHeads: homes.mesh.mesh.heads,
    floor: null,
    received: [],
    term: null,
  }
  return signBlock({ ...draft, writes }, by.keys.secretKey, sodium)
}
