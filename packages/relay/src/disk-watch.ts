import { statfs } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { RelayDriver } from './driver.ts'
import type { DiskTrouble } from './store/disk-failure.ts'
import type { StoreEvents } from './store/store.ts'

/** Kept free for LevelDB's own merging, and for whatever else shares the disk. */
const DISK_RESERVE_BYTES = 64 * 1_048_576
const DISK_LOOK_MS = 1_000

/** Tells the core when packets cannot be stored: because a write failed, or because one soon would. */
export class DiskWatch {
  readonly storeEvents: StoreEvents
  #driver: RelayDriver | null = null
  #groupWritten: (operations: number, ms: number) => void = () => undefined
  #failed: DiskTrouble | null = null
  #low = false
  #told: DiskTrouble | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(log: Logger) {
    this.storeEvents = {
      onPersisted: (receipts) => this.#driver?.feed({ type: 'persisted', receipts }),
      onFailed: (receipts, reason) => this.#driver?.feed({ type: 'persistFailed', receipts, reason }),
      onTrouble: (trouble, error) => {
        this.#failed = trouble
        if (trouble === null) log.info('the disk takes writes again')
        else
          log.error(
            { trouble, error: String(error) },
            'the disk refuses writes: packets are refused until it takes them',
          )
        this.#tell()
      },
      onGroup: (operations, ms) => this.#groupWritten(operations, ms),
    }
  }

  attach(driver: RelayDriver, groupWritten: (operations: number, ms: number) => void): void {
    this.#driver = driver
    this.#groupWritten = groupWritten
  }

  watch(path: string): void {
    this.#timer = setInterval(() => void this.#look(path), DISK_LOOK_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  async #look(path: string): Promise<void> {
    try {
      const { bavail, bsize } = await statfs(path)
      // Once low it stays low until there is a little more, or it would flutter.
      const needed = this.#low ? DISK_RESERVE_BYTES * 1.25 : DISK_RESERVE_BYTES
      this.#low = bavail * bsize < needed
    } catch {
      // Some file systems do not say; then a failing write does.
      this.#low = false
    }
    this.#tell()
  }

  #tell(): void {
    const trouble = this.#failed ?? (this.#low ? 'DISK_FULL' : null)
    if (trouble === this.#told) return
    this.#told = trouble
    this.#driver?.feed({ type: 'disk', trouble })
  }
}
