import { fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { assert } from '@sealmesh/protocol/result'
import type { z } from 'zod'
import { describeKey, metaKey } from './keys.ts'
import type { Operation, Store } from './store.ts'

/** A named value is a counter, an address, a token: more belongs into a table of its own. */
const META_BYTES_MAX = 65_536

/** Small named values. Names are constants of ours, never made from what a person or peer chose. */
export class Meta {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  async readBytes(name: string): Promise<Uint8Array | undefined> {
    return this.#store.get(metaKey(name))
  }

  writeBytes(name: string, value: Uint8Array): Promise<void> {
    return this.#store.commit([this.put(name, value)])
  }

  /** All of them or none. */
  writeAll(values: readonly (readonly [string, Uint8Array])[]): Promise<void> {
    return this.#store.commit(values.map(([name, value]) => this.put(name, value)))
  }

  /** Undefined when absent. Throws STORE_DAMAGED when it is not of this shape. */
  async read<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const bytes = await this.readBytes(name)
    if (bytes === undefined) return undefined
    const value = schema.safeParse(parseJson(fromUtf8(bytes)))
    if (!value.success) {
      throw new Failure('STORE_DAMAGED', `Stored bytes cannot be read: ${describeKey(metaKey(name))}.`, {
        cause: value.error,
      })
    }
    return value.data
  }

  /** Durable when it resolves. What the schema would not read back is not written. */
  async write<T>(name: string, schema: z.ZodType<T>, value: T): Promise<void> {
    return this.writeBytes(name, utf8(JSON.stringify(schema.parse(value))))
  }

  delete(name: string): Promise<void> {
    return this.#store.commit([{ type: 'delete', key: metaKey(name) }])
  }

  /** For a caller that writes it in one batch with other things. */
  put(name: string, value: Uint8Array): Operation {
    assert(value.length <= META_BYTES_MAX, 'a named value is small')
    return { type: 'put', key: metaKey(name), value }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
