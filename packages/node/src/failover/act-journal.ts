import {
  concatBytes,
  decode,
  encode,
  fromHex,
  readFixed,
  readId,
  readUint,
  toHex,
  writeFixed,
  writeId,
  writeUint,
} from '@sealmesh/protocol/bytes'
import { ACT_ID_BYTES } from '@sealmesh/protocol/failover/authority'
import type { AgentId, RecordHash } from '@sealmesh/protocol/ids'
import { afterPrefix, TABLES } from '../store/keys.ts'
import type { Store } from '../store/store.ts'

/** One act that this node has let an agent do. */
export interface Act {
  readonly act: Uint8Array
  readonly term: number
  readonly record: RecordHash
  readonly atMs: number
}

/** Of one agent: what is older was looked at, or never will be. */
const ACTS_MAX = 10_000
const PLACE_BYTES = 6

/** Acts as they were granted, in order, durable before their tokens leave: what a reconciliation compares. */
export class ActJournal {
  readonly #store: Store
  readonly #ends = new Map<AgentId, Promise<{ first: number; next: number }>>()

  constructor(store: Store) {
    this.#store = store
  }

  async add(agent: AgentId, act: Act): Promise<void> {
    const ends = await this.#endsOf(agent)
    const place = ends.next++
    const put = { type: 'put' as const, key: keyOf(agent, place), value: encodeAct(act) }
    const gone = ends.next - ends.first > ACTS_MAX ? [{ type: 'delete' as const, key: keyOf(agent, ends.first++) }] : []
    await this.#store.commit([put, ...gone])
  }

  async of(agent: AgentId): Promise<Act[]> {
    const acts: Act[] = []
    const from = prefixOfAgent(agent)
    for await (const { value } of this.#store.examine({ from, to: afterPrefix(from) })) {
      const act = value && decodeAct(value)
      if (act !== undefined) acts.push(act)
    }
    return acts
  }

  #endsOf(agent: AgentId): Promise<{ first: number; next: number }> {
    let ends = this.#ends.get(agent)
    if (ends === undefined) {
      ends = this.#load(agent)
      this.#ends.set(agent, ends)
    }
    return ends
  }

  async #load(agent: AgentId): Promise<{ first: number; next: number }> {
    const from = prefixOfAgent(agent)
    let [first, next] = [0, 0]
    for await (const { key } of this.#store.examine({ from, to: afterPrefix(from) })) {
      const place = Number.parseInt(toHex(key.subarray(-PLACE_BYTES)), 16)
      if (next === 0) first = place
      next = place + 1
    }
    return { first, next }
  }
}

const prefixOfAgent = (agent: AgentId): Uint8Array => concatBytes(Uint8Array.of(TABLES.act), fromHex(agent))

const keyOf = (agent: AgentId, place: number): Uint8Array =>
  concatBytes(prefixOfAgent(agent), fromHex(place.toString(16).padStart(2 * PLACE_BYTES, '0')))

const encodeAct = ({ act, term, record, atMs }: Act): Uint8Array =>
  encode((writer) => {
    writeFixed(writer, act)
    writeUint(writer, term)
    writeId(writer, record)
    writeUint(writer, atMs)
  })

function decodeAct(bytes: Uint8Array): Act | undefined {
  const act = decode(bytes, (reader) => ({
    act: readFixed(reader, ACT_ID_BYTES),
    term: readUint(reader),
    record: readId<RecordHash>(reader, 32),
    atMs: readUint(reader),
  }))
  return act.ok ? act.value : undefined
}
