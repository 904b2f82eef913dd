import { equalBytes } from '@sealmesh/protocol/bytes'
import type { SlotId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import { hashOfBlob, type SlotResult, slotMessage } from '@sealmesh/protocol/wire/slot'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { Effect } from './event.ts'
import { settle } from './requests.ts'
import type { Connection, MeshState, Pending, RelayState, Slot, SlotContent, SlotQuestion, World } from './state.ts'

/**
 * Compare-and-set, one question after another for each slot: while the disk takes a blob, whoever asks waits, so that
 * nobody is told of what a crash could take back.
 */

export function askSlot(
  state: RelayState,
  connection: Connection,
  frame: FrameOf<'readSlot' | 'setSlot'>,
  world: World,
  effects: Effect[],
): void {
  const { login } = connection
  // An idled connection may read; what it sets could be a copy's word.
  if (login?.record.kind !== 'node') return settle(connection, frame.request, 'RECIPIENT_FORBIDDEN', effects)
  if (connection.state === 'idle' && frame.type === 'setSlot')
    return settle(connection, frame.request, 'DUPLICATE_LOGIN', effects)
  const { mesh } = login
  const slot = mesh.slots.get(frame.slot)
  if (slot === undefined || slot.writing === null) return act(state, mesh, slot, { connection, frame }, world, effects)
  if (connection.slotQuestions >= state.limits.slotQuestionsMax)
    return settle(connection, frame.request, 'QUOTA_SLOTS', effects)
  connection.slotQuestions += 1
  // The frame's memory belongs to the socket.
  slot.waiting.push({ connection, frame: structuredClone(frame) })
}

/** The blob is durable: its age begins now. */
export function slotStored(
  state: RelayState,
  { mesh, slot, question }: Extract<Pending, { type: 'slot' }>,
  world: World,
  effects: Effect[],
): void {
  slot.content = slot.writing
  slot.writing = null
  slot.sinceMs = world.steadyMs
  answer(state, mesh, slot, question, 'set', world, effects)
  goOn(state, mesh, slot, world, effects)
}

/** Whether the disk has it nobody knows: who asked is told just that, and asks again. */
export function slotNotStored(
  state: RelayState,
  { mesh, slot, question }: Extract<Pending, { type: 'slot' }>,
  reason: Reason,
  world: World,
  effects: Effect[],
): void {
  slot.writing = null
  settle(question.connection, question.frame.request, reason, effects)
  goOn(state, mesh, slot, world, effects)
  if (slot.content === null && slot.writing === null) mesh.slots.delete(slot.id)
}

/** At a start. It was set before this process began. */
export const foundSlot = (id: SlotId, counter: number, blob: Uint8Array, sodium: Sodium): Slot => ({
  id,
  content: { counter, blob, hash: hashOfBlob(blob, sodium) },
  sinceMs: 0,
  writing: null,
  waiting: [],
})

function goOn(state: RelayState, mesh: MeshState, slot: Slot, world: World, effects: Effect[]): void {
  while (slot.writing === null) {
    const next = slot.waiting.shift()
    if (next === undefined) return
    next.connection.slotQuestions -= 1
    act(state, mesh, slot, next, world, effects)
  }
}

function act(
  state: RelayState,
  mesh: MeshState,
  known: Slot | undefined,
  question: SlotQuestion,
  world: World,
  effects: Effect[],
): void {
  const { connection, frame } = question
  const refuse = (reason: Reason): void => settle(connection, frame.request, reason, effects)
  const slot = known ?? { id: frame.slot, content: null, sinceMs: 0, writing: null, waiting: [] }
  if (frame.type === 'readSlot') return answer(state, mesh, slot, question, 'read', world, effects)
  const { content } = slot
  if (!isSame(content, frame.expected)) return answer(state, mesh, slot, question, 'differs', world, effects)
  if (content !== null && ageOf(slot, world) < frame.leastAgeMs)
    return answer(state, mesh, slot, question, 'young', world, effects)
  if (state.diskTrouble !== null) return refuse(state.diskTrouble)
  if (known === undefined) {
    if (mesh.slots.size >= state.limits.meshSlotsMax) return refuse('QUOTA_SLOTS')
    mesh.slots.set(slot.id, slot)
  }
  const blob = Uint8Array.from(frame.blob)
  const counter = (content?.counter ?? 0) + 1
  slot.writing = { counter, blob, hash: hashOfBlob(blob, world.sodium) }
  const receipt = state.nextReceipt++
  state.pending.set(receipt, { type: 'slot', mesh, slot, question: { connection, frame: structuredClone(frame) } })
  effects.push({
    type: 'persist',
    operations: [{ type: 'slot', mesh: mesh.id, slot: slot.id, counter, blob }],
    receipt,
  })
}

function answer(
  state: RelayState,
  mesh: MeshState,
  slot: Slot,
  { connection, frame }: SlotQuestion,
  result: SlotResult,
  world: World,
  effects: Effect[],
): void {
  if (connection.state === 'leaving') return
  const { content } = slot
  const { relay, generation } = state
  const said = { result, counter: content?.counter ?? 0, ageMs: content === null ? 0 : ageOf(slot, world) }
  const hash = content?.hash ?? null
  const receipt = { relay, generation, mesh: mesh.id, slot: slot.id, nonce: frame.nonce, ...said, hash }
  const signature = world.sodium.sign(slotMessage(receipt), world.secretKey)
  const blob = result === 'set' ? null : (content?.blob ?? null)
  const reply = { type: 'slot', request: frame.request, ...said, blob, signature } as const
  effects.push({ type: 'send', connection: connection.id, frame: reply })
}

const ageOf = ({ sinceMs }: Slot, { steadyMs }: World): number => Math.max(0, Math.floor(steadyMs - sinceMs))

const isSame = (content: SlotContent | null, expected: Uint8Array | null): boolean =>
  content === null ? expected === null : expected !== null && equalBytes(content.hash, expected)
