import { uint64At, Bytes } from './varint.ts'

/** One change of one key as LevelDB's files hold it. */
export interface RawEntry {
  readonly key: Uint8Array
  /** Undefined for a deletion. */
  readonly value: Uint8Array | undefined
  /** LevelDB's own: of two changes of a key the higher one counts. */
  readonly sequence: number
}

const HEADER_BYTES = 12

/** The changes of one record of a write-ahead log. From a damaged one as many as can be told apart. */
export function readBatch(payload: Uint8Array): RawEntry[] {
  const entries: RawEntry[] = []
  if (payload.length < HEADER_BYTES) return entries
  const first = uint64At(payload, 0)
  const source = new Bytes(payload, HEADER_BYTES)
  while (!source.done) {
    const tag = source.byte()
    const key = source.run(source.varint())
    const value = tag === 1 ? source.run(source.varint()) : undefined
    if (key === undefined || tag === undefined || tag > 1 || (tag === 1 && value === undefined)) break
    entries.push({ key, value, sequence: first + entries.length })
  }
  return entries
}
