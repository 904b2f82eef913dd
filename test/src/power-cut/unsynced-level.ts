import { Level as RealLevel } from 'level'

/** LevelDB as it is by default: no write waits for the disk, whatever its caller asked for. */
export class Level<Key, Value> extends RealLevel<Key, Value> {
  constructor(...args: ConstructorParameters<typeof RealLevel<Key, Value>>) {
    super(...args)
    const unsynced: Partial<Record<'put' | 'del' | 'batch', Call>> = {
      put: (key, value, options) => super.put(key as Key, value as Value, withoutSync(options)),
      del: (key, options) => super.del(key as Key, withoutSync(options)),
      batch: (...operations) => {
        const [list, options] = operations
        if (list !== undefined) return super.batch(list as never, withoutSync(options))
        const chained = super.batch()
        const write: Call = chained.write.bind(chained) as Call
        return Object.assign(chained, { write: (given: unknown) => write(withoutSync(given)) })
      },
    }
    // Assigned, not declared: the real methods have more overloads than a double needs.
    Object.assign(this, unsynced)
  }
}

type Call = (...args: unknown[]) => unknown

const withoutSync = (options: unknown): object => ({ ...(options as object | undefined), sync: false })
