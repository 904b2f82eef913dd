import { concatBytes, fromHex, fromUtf8, toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { Message } from '@sealmesh/protocol/messages/message'
import {
  afterPrefix,
  agentOfKey,
  idOfTakenKey,
  letterOutKey,
  letterTakenKey,
  numberOfLetterKey,
  senderOfTakenKey,
  TABLES,
  tablePrefix,
} from '../store/keys.ts'
import type { Operation, Store } from '../store/store.ts'
import type { Far } from './core/far.ts'
import { type Letter, letterOf } from './core/letter.ts'
import type { Posted } from './core/outbox.ts'
import type { Mark } from './core/taken.ts'

const NODE_BYTES = 32
const AGENT_BYTES = 32

/** What was on disk when the node started. */
export interface FoundFar {
  /** In the order in which they were sent. */
  readonly posted: readonly Posted[]
  readonly marks: readonly Mark[]
}

/** Durable letters on their way to other machines, and the notes of those that came from there. */
export class FarMail {
  readonly #store: Store
  #next: number

  private constructor(store: Store, next: number) {
    this.#store = store
    this.#next = next
  }

  /** What is damaged is left out; the scrub tells of it. */
  static async load(store: Store): Promise<{ farMail: FarMail; found: FoundFar }> {
    const posted: Posted[] = []
    let next = 1
    for await (const { key, value } of store.examine(whole(TABLES.letterOut))) {
      const stored = numberOfLetterKey(key)
      next = Math.max(next, stored + 1)
      const letter = value === undefined ? undefined : letterIn(value.subarray(NODE_BYTES + AGENT_BYTES))
      if (value === undefined || letter === undefined) continue
      const node = toHex(value.subarray(0, NODE_BYTES)) as NodeId
      const agent = toHex(value.subarray(NODE_BYTES, NODE_BYTES + AGENT_BYTES)) as AgentId
      posted.push({ sender: agentOfKey(key), agent, node, letter, durable: true, stored })
    }
    posted.sort((a, b) => (a.stored ?? 0) - (b.stored ?? 0))
    const marks: Mark[] = []
    for await (const { key, value } of store.examine(whole(TABLES.letterTaken))) {
      const endsAtMs = value === undefined ? Number.NaN : Number(fromUtf8(value))
      if (!Number.isSafeInteger(endsAtMs)) continue
      const [recipient, sender, id] = [agentOfKey(key), senderOfTakenKey(key), idOfTakenKey(key)]
      marks.push({ sender, recipient, id, endsAtMs, durable: true })
    }
    marks.sort((a, b) => a.endsAtMs - b.endsAtMs)
    return { farMail: new FarMail(store, next), found: { posted, marks } }
  }

  /** For all of them or for none; durable when it resolves. */
  async put(sender: AgentId, to: readonly Far[], letter: Letter): Promise<Posted[]> {
    const first = this.#next
    this.#next += to.length
    await this.#store.commit(
      to.map((far, i) => ({
        type: 'put',
        key: letterOutKey(sender, first + i),
        value: valueOf(far, letter),
      })),
    )
    return to.map((far, i) => ({ ...far, sender, letter, durable: true, stored: first + i }))
  }

  /** The same letter, to another machine; durable when it resolves. */
  async move(posted: Posted, node: NodeId): Promise<Posted> {
    const { sender, agent, letter, stored } = posted
    if (stored !== null)
      await this.#store.commit([
        { type: 'put', key: letterOutKey(sender, stored), value: valueOf({ agent, node }, letter) },
      ])
    return { ...posted, node }
  }

  async remove(posted: readonly Posted[]): Promise<void> {
    const keys = posted.flatMap(({ sender, stored }) => (stored === null ? [] : [letterOutKey(sender, stored)]))
    if (keys.length > 0) await this.#store.commit(keys.map((key) => ({ type: 'delete', key })))
  }

  async forget(marks: readonly Mark[]): Promise<void> {
    const keys = marks.filter(({ durable }) => durable).map((mark) => keyOf(mark))
    if (keys.length > 0) await this.#store.commit(keys.map((key) => ({ type: 'delete', key })))
  }
}

const valueOf = ({ agent, node }: Far, { text }: Letter): Uint8Array =>
  concatBytes(fromHex(node), fromHex(agent), utf8(text))

/** Takes a letter off, together with what is written when it has come somewhere else. */
export const outDelete = ({ sender, stored }: Posted): Operation[] =>
  stored === null ? [] : [{ type: 'delete', key: letterOutKey(sender, stored) }]

/** To be committed together with the letter that it is of. */
export const markPut = (mark: Mark): Operation => ({ type: 'put', key: keyOf(mark), value: utf8(`${mark.endsAtMs}`) })

const keyOf = ({ recipient, sender, id }: Mark): Uint8Array => letterTakenKey(recipient, sender, id)

const whole = (table: number) => ({ from: tablePrefix(table), to: afterPrefix(tablePrefix(table)) })

function letterIn(bytes: Uint8Array): Letter | undefined {
  const message = Message.safeParse(JSON.parse(fromUtf8(bytes))).data
  if (message === undefined) return undefined
  const { payload, ...head } = message
  return letterOf(head, JSON.stringify(payload))
}
