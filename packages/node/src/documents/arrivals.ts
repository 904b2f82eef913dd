import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { decodeBlock, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { DocumentId } from '@sealmesh/protocol/ids'
import { mayEverWrite } from '@sealmesh/protocol/membership/judge'
import type { Adoption } from './adoption.ts'
import type { DocumentsDeps } from './documents-deps.ts'
import type { ReceiveReport } from './filling.ts'
import { isFloorMissing, turnAway } from './turn-away.ts'

/** What came of one document. */
export interface Arrivals {
  readonly blocks: Block[]
  /** Those that a staged base waits for. */
  readonly missing: Block[]
  readonly report: ReceiveReport
}

/** Puts a block where it is waited for; gives the document of which a base may be on its way for too long. */
export function takeArrival(
  around: Parameters<typeof checkArrival>[0],
  bytes: Uint8Array,
  arrivals: Map<DocumentId, Arrivals>,
  adoption: Adoption,
): { readonly id: DocumentId; readonly name: DocumentName } | undefined {
  const arrived = checkArrival(around, bytes, arrivals)
  if (arrived === undefined) return undefined
  const { id, block, blocks, missing, report } = arrived
  if (adoption.staging.isMissing(id, block.header)) {
    missing.push(block)
    return undefined
  }
  const isBelow = adoption.isBelow(id, block.header)
  if (isBelow) report.waiting += 1
  else blocks.push(block)
  return isBelow || adoption.staging.has(id) ? { id, name: report.name } : undefined
}

/** A block that is what it says, by somebody who has or had a right to its document; or a line in a report. */
function checkArrival(
  {
    sodium,
    log,
    mesh: meshNow,
    closed,
    idOf,
  }: Pick<DocumentsDeps, 'sodium' | 'log' | 'mesh' | 'closed'> & { readonly idOf: (name: DocumentName) => DocumentId },
  bytes: Uint8Array,
  arrivals: Map<DocumentId, Arrivals>,
): (Arrivals & { readonly id: DocumentId; readonly block: Block }) | undefined {
  // A copy: a block that is kept must not keep the packet that it came in.
  const decoded = decodeBlock(bytes.slice(), sodium)
  if (!decoded.ok) {
    log.warn({ code: decoded.error.code }, 'a block from a peer cannot be read')
    return undefined
  }
  const block = decoded.value
  const { document: name, author, incarnation } = block.header
  const mesh = meshNow()
  if (block.header.mesh !== mesh.id) {
    log.warn({ code: 'OTHER_MESH' }, 'a block from a peer is of another mesh')
    return undefined
  }
  const id = idOf(name)
  let arrival = arrivals.get(id)
  if (arrival === undefined) {
    arrival = { blocks: [], missing: [], report: { name, stored: 0, refused: 0, waiting: 0, unknownHeads: [] } }
    arrivals.set(id, arrival)
  }
  const { report } = arrival
  // Signed truly or not: it would make the incarnation look forked, and set aside the texts of its owner.
  if (!isIncarnationOf(incarnation, author, sodium)) {
    report.refused += 1
    log.warn({ code: 'INCARNATION_NOT_THEIRS' }, "a block from a peer is under another author's incarnation")
    return undefined
  }
  const signKey = mesh.nodes.get(author)?.signKey
  if (signKey !== undefined && !verifyBlock(block, signKey, sodium)) {
    report.refused += 1
    log.warn({ code: 'BLOCK_SIGNATURE' }, 'a block from a peer is not signed by its author')
    return undefined
  }
  // What counts no more is stored, for it counted once. What never could would let any member fill this disk.
  if (signKey === undefined || !mayEverWrite(mesh, author, name)) {
    turnAway(block, mesh, report)
    return undefined
  }
  return isFloorMissing(block, id, closed, report) ? undefined : { ...arrival, id, block }
}
