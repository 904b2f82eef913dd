import type { Sodium } from '@sealmesh/protocol/sodium'
import * as real from '@sealmesh/sodium/load'

/**
 * Sealing switched off: bodies travel as they are, with a tag of zeros. Everything else is real, so that a whole mesh
 * runs on it, and the search that finds nothing in a sealed mesh can be seen to find everything in this one.
 */
export async function loadSodium(prefer?: 'wasm' | 'native'): Promise<Sodium> {
  const sodium = await real.loadSodium(prefer)
  const double: Pick<Sodium, 'encrypt' | 'decrypt'> = {
    encrypt: (plain) => Buffer.concat([plain, Buffer.alloc(TAG_BYTES)]),
    decrypt: (cipher) => (cipher.length < TAG_BYTES ? undefined : cipher.subarray(0, cipher.length - TAG_BYTES)),
  }
  return new Proxy(sodium, {
    get: (target, name) => {
      if (name === 'encrypt' || name === 'decrypt') return double[name]
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const TAG_BYTES = 16
