import type { Block } from '@sealmesh/protocol/crdt/block'
import type { NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { nodeIdOf } from '@sealmesh/protocol/membership/record-codec'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Sodium } from '@sealmesh/protocol/sodium'

/**
 * Whom a set of records removes, said once more and in another way than the fold: by asking of each admission and each
 * removal who its signer was in what it follows, over plain sets. Knows of no passes and of no other kind of record.
 */
export class RemovalOracle {
  readonly #sodium: Sodium
  readonly #pasts = new Map<RecordHash, ReadonlySet<SignedRecord>>()
  readonly #stands = new Map<RecordHash, boolean>()
  readonly #known = new Map<RecordHash, SignedRecord>()

  constructor(sodium: Sodium) {
    this.#sodium = sodium
  }

  /** Parents first. */
  note(record: SignedRecord): void {
    this.#known.set(record.hash, record)
  }

  /** By node: the removals of it that stand, among records that hold all that they follow. */
  removals(records: Iterable<SignedRecord>): Map<NodeId, SignedRecord[]> {
    const removals = new Map<NodeId, SignedRecord[]>()
    for (const record of records) {
      if (record.body.type !== 'revoke' || !this.#doesStand(record)) continue
      removals.set(record.body.node, [...(removals.get(record.body.node) ?? []), record])
    }
    return removals
  }

  #past(record: SignedRecord): ReadonlySet<SignedRecord> {
    let past = this.#pasts.get(record.hash)
    if (past === undefined) {
      const all = new Set<SignedRecord>()
      for (const hash of record.parents) {
        const parent = this.#known.get(hash)
        if (parent === undefined) throw new Error('an oracle is told of parents first')
        all.add(parent)
        for (const each of this.#past(parent)) all.add(each)
      }
      past = all
      this.#pasts.set(record.hash, past)
    }
    return past
  }

  #doesStand(record: SignedRecord): boolean {
    let stands = this.#stands.get(record.hash)
    if (stands === undefined) {
      stands = this.#judge(record)
      this.#stands.set(record.hash, stands)
    }
    return stands
  }

  #judge(record: SignedRecord): boolean {
    const { body, signer } = record
    const past = [...this.#past(record)].filter((each) => this.#doesStand(each))
    const isRemoved = (node: NodeId) => past.some(({ body: said }) => said.type === 'revoke' && said.node === node)
    const admitted = (node: NodeId, asAdmin: boolean) =>
      past.some(
        ({ body: said }) =>
          (said.type === 'found' || said.type === 'admit') &&
          this.#idOf(said.node) === node &&
          (!asAdmin || said.type === 'found' || said.admin),
      )
    const governs =
      signer.type === 'root' || (signer.type === 'node' && admitted(signer.node, true) && !isRemoved(signer.node))
    switch (body.type) {
      case 'found':
        return signer.type === 'root'
      case 'admit':
        return governs && !isRemoved(this.#idOf(body.node))
      case 'revoke':
        return governs && admitted(body.node, false)
      default:
        return false
    }
  }

  #idOf(node: Extract<SignedRecord['body'], { type: 'admit' }>['node']): NodeId {
    return nodeIdOf(node.signKey, node.foundingAgent.id, this.#sodium)
  }
}

/** No incarnation forks in these runs, so a number says what a cut covers. */
export const isInACut = ({ header }: Block, removals: readonly SignedRecord[]): boolean =>
  removals.some(
    ({ body }) =>
      body.type === 'revoke' &&
      body.cuts.some(
        ({ document, vector }) =>
          document.agent === header.document.agent &&
          document.layer === header.document.layer &&
          vector.some((dot) => dot.incarnation === header.incarnation && dot.sequence >= header.sequence),
      ),
  )
