import { encode, writeByte, writeId, writeText, writeUint } from '../bytes.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { type Entry, writesOf } from './register.ts'
import type { RegisterMap } from './register-map.ts'
import type { Texts } from './texts.ts'
import { compareKeys } from './write-codec.ts'

const VALUE = 0x01
const TOMBSTONE = 0x02

/**
 * What readers can see, in 32 bytes (03-blocks §9): every register's winner and siblings by the blocks that wrote
 * them, and every text. A tombstone that stands alone is left out, since one replica may have collected it already.
 */
export function digestOfContent(registers: RegisterMap, texts: Texts, sodium: Sodium): Uint8Array {
  const shown: [string, Entry[]][] = []
  for (const [key, register] of registers.entries()) {
    const writes = writesOf(register)
    if (writes.length > 1 || writes[0]?.value !== undefined) shown.push([key, writes])
  }
  shown.sort(([a], [b]) => compareKeys(a, b))
  const content = encode((w) => {
    writeUint(w, shown.length)
    for (const [key, writes] of shown) {
      writeText(w, key)
      writeUint(w, writes.length)
      for (const { dot, value } of writes) {
        writeByte(w, value === undefined ? TOMBSTONE : VALUE)
        writeId(w, dot.hash)
      }
    }
    const names = texts.names().sort(compareKeys)
    writeUint(w, names.length)
    for (const name of names) {
      writeText(w, name)
      writeText(w, texts.read(name) ?? '')
    }
  })
  return sodium.hash([TAGS.documentDigest, content])
}
