import { fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { claimProof } from '@sealmesh/protocol/wire/challenge'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { ClaimKey } from '../core/event.ts'
import type { JetStreamLog } from './jetstream-log.ts'
import { CLUSTER_STREAM, claimSubject } from './subjects.ts'

/** All relays of a cluster together. */
const CLAIMS_MAX = 1_024
const LIFE = '86400s'

/**
 * Claim codes of a cluster: each relay makes its own, in its own data directory, and all honour them. A row holds what
 * a code is checked with, as the file does, or that it was spent.
 */
export class ClusterClaims {
  readonly #log: JetStreamLog
  readonly #own: () => readonly ClaimKey[]
  readonly #published = new Set<string>()
  #open: readonly ClaimKey[] = []

  constructor(log: JetStreamLog, own: () => readonly ClaimKey[]) {
    this.#log = log
    this.#own = own
  }

  /** As of the last refresh. */
  get open(): readonly ClaimKey[] {
    return this.#open
  }

  /** Makes this relay's own known to the others, as soon as its owner has made them: a node may come to any relay. */
  async publish(): Promise<void> {
    for (const { id, key, expiresMs } of this.#own()) {
      if (this.#published.has(id)) continue
      // Only where there is no row: one that was spent elsewhere stays so.
      await this.#log.replace(claimSubject(id), Buffer.from(`${toHex(key)} ${expiresMs}`), 0, LIFE)
      if (this.#published.size >= CLAIMS_MAX) this.#published.clear()
      this.#published.add(id)
    }
  }

  /** Makes this relay's own known, and reads all. */
  async refresh(): Promise<void> {
    await this.publish()
    const own = this.#own()
    const rows = await this.#log.rows(CLUSTER_STREAM, claimSubject('*'), CLAIMS_MAX)
    const open = new Map(own.map((claim) => [claim.id, claim]))
    for (const { subject, payload } of rows) {
      const [key = '', expires = ''] = Buffer.from(payload).toString().split(' ')
      const id = subject.split('.').at(-1) ?? ''
      if (isHex(key, 32)) open.set(id, { id, key: fromHex(key), expiresMs: Number(expires) })
      else open.delete(id)
    }
    this.#open = [...open.values()]
  }

  /** Whether the login brings one of them. The core judges it again, with the signature of the mesh's root. */
  holds(
    claim: NonNullable<FrameOf<'login'>['claim']>,
    about: { relay: RelayId; relayNonce: Uint8Array; mesh: MeshId },
    sodium: Sodium,
  ): boolean {
    return this.#open.some(({ key }) => toHex(claimProof(key, about, sodium)) === toHex(claim.proof))
  }
}
