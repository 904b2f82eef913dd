import { MAJORITY } from '@sealmesh/protocol/failover/ballot'
import type { LeaseKey } from '@sealmesh/protocol/failover/lease-blob'
import type { WitnessName } from '@sealmesh/protocol/failover/node-lease'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { RelayLink } from '../uplink/relay-link.ts'
import { MajorityWitness } from './majority-witness.ts'
import { RelayWitness } from './relay-witness.ts'
import type { Witness } from './witness.ts'

export interface NamedWitnessDeps {
  readonly mesh: () => Mesh
  readonly link: {
    /** The link to a relay that the log names, while it is live. */
    link(relay: RelayId): Pick<RelayLink, 'slot'> | undefined
    names(relay: RelayId): boolean
  }
  readonly key: () => LeaseKey | null
  readonly before: () => WitnessName | null
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly dice: () => number
}

/** The relays that the mesh has made its witness, each over its own link: one, or three of which two decide. */
export class NamedWitness {
  readonly #deps: NamedWitnessDeps
  #made: { readonly relays: string; readonly witness: Witness } | undefined

  constructor(deps: NamedWitnessDeps) {
    this.#deps = deps
  }

  /** Whether this node has, or will have, links to enough of them. */
  get isReachable(): boolean {
    const { mesh, link } = this.#deps
    const relays = mesh().witness?.relays ?? []
    const named = relays.filter((relay) => link.names(relay)).length
    return named > 0 && named >= (relays.length === 1 ? 1 : MAJORITY)
  }

  /** Null where there is none, or its relays are not named. */
  get(): Witness | null {
    const relays = this.#deps.mesh().witness?.relays
    if (relays === undefined || !this.isReachable) return null
    const name = relays.join()
    // One for as long as it is the same: it remembers which question is the newest.
    if (this.#made?.relays === name) return this.#made.witness
    const witness = this.#make(relays)
    if (witness !== null) this.#made = { relays: name, witness }
    return witness
  }

  #make([first, second, third]: readonly RelayId[]): Witness | null {
    const { link, key: keyNow, before, ...rest } = this.#deps
    const over = (relay: RelayId): RelayWitness => new RelayWitness(relay, () => link.link(relay))
    if (first === undefined) return null
    if (second === undefined || third === undefined) return over(first)
    const key = keyNow()
    if (key === null) return null
    return new MajorityWitness({
      ...rest,
      parts: [over(first), over(second), over(third)],
      relays: [first, second, third],
      key,
      before: before(),
    })
  }
}

/** Whether this relay has said of which memory it is: from then on one that forgot can be told from one that is new. */
export function hasHeardOf(relay: RelayId, witness: WitnessName | null): boolean {
  const at = witness?.relays.split(',').indexOf(relay) ?? -1
  const generations = witness?.generation.split('/', 1)[0]?.split(',') ?? []
  return (generations[at] ?? '') !== ''
}
