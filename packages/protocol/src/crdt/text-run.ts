import {
  concatBytes,
  decode,
  encode,
  fromHex,
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readFixed,
  readId,
  readUint,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
  writeUint,
} from '../bytes.ts'
import type { NodeId } from '../ids.ts'
import { type Secret, SIGNATURE_BYTES, type Signature, type SignPublicKey } from '../keys.ts'
import { PRUNED_BYTES_MAX } from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { TEXT_RUN_VERSION } from '../version.ts'
import type { Block } from './block.ts'
import { clientIdOf, documentIdOf } from './block-codec.ts'
import { decodePruned, prune, type PrunedBlock } from './pruned.ts'
import { CLOCK_MAX, readTextUpdate } from './text-update.ts'

/**
 * What is left below a base of one incarnation's text blocks, from the run before it up to the block that it ends at
 * (docs/spec/09-bases.md §5): what they put into texts, less what was deleted of it, in one Yjs update. Authors sign
 * edits, not what became of them, so whoever drew the base says so and signs it; that the end is the author's, the end
 * proves by itself.
 *
 *   version 1B | end: bytes, a pruned block with no write left | from | length, both in Yjs's count |
 *   update: bytes | maker 32B | signature 64B over tag, mesh, document, the end's dot, from, length and the update's hash
 */
export interface TextRun {
  readonly end: PrunedBlock
  /** The range of the incarnation's Yjs clocks that it covers: `to` is not in it. */
  readonly from: number
  readonly to: number
  readonly update: Uint8Array
  readonly maker: NodeId
  readonly signature: Signature
  readonly bytes: Uint8Array
}

export type RunDraft = Pick<TextRun, 'from' | 'to' | 'update'> & { readonly end: Block | PrunedBlock }

export interface RunMaker {
  readonly node: NodeId
  readonly signKey: Secret<'sign'>
}

/** Undefined when it does not fit a row. */
export function signRun(
  { end: block, from, to, update }: RunDraft,
  maker: RunMaker,
  sodium: Sodium,
): TextRun | undefined {
  const end = prune(block, new Map(), sodium)
  const unsigned = { end, from, to, update, maker: maker.node }
  const signature = sodium.sign(signedBytes(unsigned, sodium), maker.signKey)
  const bytes = encode((w) => {
    writeByte(w, TEXT_RUN_VERSION)
    writeBytes(w, end.bytes)
    writeUint(w, from)
    writeUint(w, to - from)
    writeBytes(w, update)
    writeId(w, maker.node)
    writeFixed(w, signature)
  })
  return bytes.length <= PRUNED_BYTES_MAX ? { ...unsigned, signature, bytes } : undefined
}

/**
 * Untrusted bytes in. Never throws. What is in the update is `isSoundRun`'s, the signatures are `verifyRun`'s and
 * `verifyPruned`'s. The result shares memory with `bytes`.
 */
export function decodeRun(bytes: Uint8Array, sodium: Sodium): Result<TextRun, { code: 'BLOCK_MALFORMED' }> {
  if (bytes.length > PRUNED_BYTES_MAX) return err({ code: 'BLOCK_MALFORMED' })
  const run = decode(bytes, (r) => readRun(r, bytes, sodium))
  return run.ok ? ok(run.value) : err({ code: 'BLOCK_MALFORMED' })
}

/** The block that a run ends at, with all that the run has: what is set aside is shown, and can be merged. */
export const wordsOf = ({ end, update }: TextRun): Block => ({ ...end, writes: [{ type: 'text', update }] })

/** Whether the node that owns `signKey` says so: the caller looks the key up by the run's maker. */
export const verifyRun = (run: TextRun, signKey: SignPublicKey, sodium: Sodium): boolean =>
  sodium.verify(run.signature, signedBytes(run, sodium), signKey)

/** Whether it is of its own client and range alone, and of what a text is made of. */
export function isSoundRun({ end, from, to, update }: TextRun): boolean {
  const client = clientIdOf(end.header.incarnation)
  const read = readTextUpdate(update, client, from)
  if (typeof read === 'string' || read.end !== to) return false
  return read.deletes.every((each) => each.client === client && each.clock >= from && each.clock + each.length <= to)
}

function signedBytes(
  { end, from, to, update }: Pick<TextRun, 'end' | 'from' | 'to' | 'update'>,
  sodium: Sodium,
): Uint8Array {
  const { mesh, document, incarnation, sequence } = end.header
  const claim = encode((w) => {
    writeId(w, mesh)
    writeId(w, documentIdOf(document, sodium))
    writeId(w, incarnation)
    writeUint(w, sequence)
    writeFixed(w, fromHex(end.hash))
    writeUint(w, from)
    writeUint(w, to - from)
    writeFixed(w, sodium.hash([update]))
  })
  return concatBytes(TAGS.textRun, claim)
}

function readRun(r: Reader, bytes: Uint8Array, sodium: Sodium): TextRun {
  if (readByte(r) !== TEXT_RUN_VERSION) throw new Malformed()
  const end = decodePruned(readBytes(r, PRUNED_BYTES_MAX), sodium)
  // A text block has one write.
  if (!end.ok || end.value.count !== 1 || end.value.writes.length > 0) throw new Malformed()
  const from = readUint(r, CLOCK_MAX)
  const to = from + readUint(r, CLOCK_MAX - from)
  const update = readBytes(r, PRUNED_BYTES_MAX)
  const maker = readId<NodeId>(r, 32)
  const signature = readFixed(r, SIGNATURE_BYTES) as Signature
  return { end: end.value, from, to, update, maker, signature, bytes }
}
