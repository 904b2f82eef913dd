import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { RelayId, SlotId } from '@sealmesh/protocol/ids'
import { SLOT_BLOB_BYTES } from '@sealmesh/protocol/wire/slot'
import type { RelayLink } from '../uplink/relay-link.ts'
import type { SlotAnswer, SlotQuestion } from '../uplink/slot-question.ts'
import type { SlotSeen, SlotWritten, Witness } from './witness.ts'

/** One relay, over the link that is in use. */
export class RelayWitness implements Witness {
  readonly blobBytes = SLOT_BLOB_BYTES
  readonly #relay: RelayId
  readonly #link: () => Pick<RelayLink, 'slot'> | undefined

  constructor(relay: RelayId, link: () => Pick<RelayLink, 'slot'> | undefined) {
    this.#relay = relay
    this.#link = link
  }

  async read(slot: SlotId): Promise<SlotSeen> {
    return this.#seen(await this.#ask({ type: 'readSlot', slot }))
  }

  async set(slot: SlotId, expected: Uint8Array | null, blob: Uint8Array, leastAgeMs: number): Promise<SlotWritten> {
    const answer = await this.#ask({ type: 'setSlot', slot, expected, leastAgeMs, blob })
    const { result } = answer.receipt
    if (result === 'read') throw new Failure('RELAY_WRONG_KEY', 'The relay answered another question.')
    return { ...this.#seen(answer), result }
  }

  async #ask(question: SlotQuestion): Promise<SlotAnswer> {
    const link = this.#link()
    if (link === undefined) throw new Failure('RELAY_UNREACHABLE', 'The relay is not connected now.')
    const answer = await link.slot(question)
    if (answer.receipt.relay !== this.#relay)
      throw new Failure('WITNESS_NEEDED', 'The relay in use is not the one that the mesh has made its witness.')
    return answer
  }

  #seen({ receipt, blob }: SlotAnswer): SlotSeen {
    const { counter, generation, hash, relay } = receipt
    return { hash, blob, counter, witness: { relays: relay, generation: toHex(generation) } }
  }
}
