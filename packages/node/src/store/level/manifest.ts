import { readLog } from './log-file.ts'
import { Bytes } from './varint.ts'

export interface Manifest {
  /** Number and size of every live table. */
  readonly tables: ReadonlyMap<number, number>
  /** The write-ahead log that must be there; a later one may be. */
  readonly logNumber: number
  readonly damaged: boolean
}

/** Folds a manifest's edits. What cannot be read makes it damaged. */
export function readManifest(bytes: Uint8Array): Manifest {
  const { records, damagedAt } = readLog(bytes)
  const tables = new Map<number, number>()
  let logNumber = 0
  let damaged = damagedAt.length > 0 || records.length === 0
  for (const { payload, whole } of records) {
    if (!whole) continue // Torn at the end: LevelDB never relied on it.
    const source = new Bytes(payload)
    while (!source.done && !damaged) {
      const number = (): number => {
        const value = source.varint()
        if (value === undefined) damaged = true
        return value ?? 0
      }
      const run = () => source.run(number())
      switch (source.varint()) {
        case 1:
          run()
          break
        case 2:
          logNumber = number()
          break
        case 3:
        case 4:
        case 9:
          number()
          break
        case 5:
          number()
          run()
          break
        case 6:
          number()
          tables.delete(number())
          break
        case 7: {
          number()
          const table = number()
          tables.set(table, number())
          run()
          run()
          break
        }
        default:
          damaged = true
      }
    }
  }
  return { tables, logNumber, damaged }
}
