import { Level as RealLevel } from 'level'

/** LevelDB as it is by default: no write waits for the disk, whatever its caller asked for. */
export class Level<Key, Value> extends RealLevel<Key, Value> {
  // biome-ignore lint: every overload of the real one ends here.
  override batch(...args: any[]): any {
    if (args.length > 0) return super.batch(args[0], { ...args[1], sync: false })
    const chained = super.batch()
    const write = chained.write.bind(chained)
    Object.assign(chained, { write: (options?: object) => write({ ...options, sync: false } as never) })
    return chained
  }

  override put(key: Key, value: Value, options?: object): Promise<void> {
    return super.put(key, value, { ...options, sync: false } as never)
  }

  override del(key: Key, options?: object): Promise<void> {
    return super.del(key, { ...options, sync: false } as never)
  }
}
