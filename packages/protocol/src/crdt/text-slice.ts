import { length as bytesWritten, writeVarUint } from 'lib0/encoding'
import * as Y from 'yjs'
import { concatBytes } from '../bytes.ts'

/** Deleted characters between others are written out as this: so long, they cost less than a struct of their own. */
const FILLER = ' '
const FILLER_LENGTH_MAX = 12

/**
 * One client's structs with clocks in [from, to), as they stand in the text: a Yjs update of nothing else, with what
 * of them is deleted. Its bytes depend on what was typed and deleted alone, not on what others put in between.
 * Undefined when they are longer than `bytesMax`, or not all there.
 */
export function sliceText(
  yDoc: Y.Doc,
  client: number,
  from: number,
  to: number,
  bytesMax: number,
): Uint8Array | undefined {
  const structs = yDoc.store.clients.get(client) ?? []
  const pieces = new Pieces(bytesMax)
  const last = structs.at(-1)
  if (from < to && (last === undefined || last.id.clock + last.length < to)) return undefined
  let at = from
  for (let i = from < to ? Y.findIndexSS(structs, from) : 0; at < to; i++) {
    const struct = structs[i]
    // What a Y.Text makes has neither holes nor structs whose place is forgotten.
    if (!(struct instanceof Y.Item)) return undefined
    const end = Math.min(struct.id.clock + struct.length, to)
    if (!pieces.add(pieceOf(struct, at, end))) return undefined
    at = end
  }
  return pieces.update(client, from)
}

/** Characters that were put one after another at one place, in one state. */
interface Piece {
  readonly origin: Y.ID | null
  readonly rightOrigin: Y.ID | null
  readonly parent: Y.Item['parent']
  readonly clock: number
  readonly length: number
  readonly client: number
  /** A text; null for what is deleted; anything else stands alone. */
  readonly content: string | null | Y.ContentFormat | Y.ContentEmbed
}

function pieceOf({ id, origin, rightOrigin, parent, content, deleted }: Y.Item, from: number, to: number): Piece {
  const { client, clock } = id
  const offset = from - clock
  return {
    client,
    clock: from,
    length: to - from,
    origin: offset === 0 ? origin : Y.createID(client, from - 1),
    rightOrigin,
    parent,
    content: deleted
      ? null
      : content instanceof Y.ContentString
        ? content.str.slice(offset, to - clock)
        : (content as Y.ContentFormat | Y.ContentEmbed),
  }
}

/** Joins what Yjs would take apart again by itself: what stands in between names the two that it was put between. */
class Pieces {
  readonly #bytesMax: number
  readonly #encoder = new Y.UpdateEncoderV1()
  /** One that more may be joined to. */
  #open: { first: Piece; end: number; text: string | null } | undefined
  #structs = 0
  #deleted: { clock: number; length: number }[] = []

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** False when it is too much. */
  add(piece: Piece): boolean {
    const { clock, length, content } = piece
    if (content === null) {
      const last = this.#deleted.at(-1)
      if (last !== undefined && last.clock + last.length === clock) last.length += length
      else this.#deleted.push({ clock, length })
    }
    if (!this.#join(piece)) {
      this.#flush()
      if (content === null || typeof content === 'string')
        this.#open = { first: piece, end: clock + length, text: content }
      else this.#write(piece, content)
    }
    return bytesWritten(this.#encoder.restEncoder) + (this.#open?.text?.length ?? 0) <= this.#bytesMax
  }

  update(client: number, from: number): Uint8Array | undefined {
    this.#flush()
    const encoder = new Y.UpdateEncoderV1()
    const rest = encoder.restEncoder
    writeVarUint(rest, this.#structs === 0 ? 0 : 1)
    if (this.#structs > 0) {
      writeVarUint(rest, this.#structs)
      encoder.writeClient(client)
      writeVarUint(rest, from)
    }
    const head = encoder.toUint8Array()
    const body = this.#encoder.toUint8Array()
    const tail = new Y.UpdateEncoderV1()
    writeVarUint(tail.restEncoder, this.#deleted.length === 0 ? 0 : 1)
    if (this.#deleted.length > 0) {
      writeVarUint(tail.restEncoder, client)
      writeVarUint(tail.restEncoder, this.#deleted.length)
      for (const { clock, length } of this.#deleted) {
        tail.writeDsClock(clock)
        tail.writeDsLen(length)
      }
    }
    const update = concatBytes(head, body, tail.toUint8Array())
    return update.length <= this.#bytesMax ? update : undefined
  }

  #join({ client, clock, length, origin, rightOrigin, content }: Piece): boolean {
    const open = this.#open
    if (open === undefined || (content !== null && typeof content !== 'string')) return false
    if (origin === null || origin.client !== client || origin.clock !== clock - 1) return false
    if (!Y.compareIDs(rightOrigin, open.first.rightOrigin)) return false
    if (content === null && open.text === null) {
      open.end += length
      return true
    }
    const gone = open.text === null ? open.end - open.first.clock : content === null ? length : 0
    if (gone > FILLER_LENGTH_MAX) return false
    open.text = (open.text ?? FILLER.repeat(gone)) + (content ?? FILLER.repeat(gone))
    open.end += length
    return true
  }

  #flush(): void {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return
    const { first, end, text } = open
    this.#write(first, text === null ? new Y.ContentDeleted(end - first.clock) : new Y.ContentString(text))
  }

  #write({ client, clock, origin, rightOrigin, parent }: Piece, content: Y.Item['content']): void {
    new Y.Item(Y.createID(client, clock), null, origin, null, rightOrigin, parent, null, content).write(
      this.#encoder,
      0,
    )
    this.#structs += 1
  }
}
