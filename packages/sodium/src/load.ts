import { Failure } from '@sealmesh/protocol/errors'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadNative } from './native.ts'
import { loadWasm } from './wasm.ts'

export type SodiumImplementation = Sodium['implementation']

/** Forces one implementation: for tests, and for machines where the other misbehaves. */
const FORCE_VARIABLE = 'SEALMESH_SODIUM'

/**
 * The native library where it loads (1.4 to 3 times faster), WebAssembly everywhere else: same bytes, so nobody needs
 * to know. An implementation that was asked for by name is never replaced by the other.
 */
export async function loadSodium(prefer?: SodiumImplementation): Promise<Sodium> {
  const wanted = forced() ?? prefer
  if (wanted === 'wasm') return loadWasm()
  const native = await loadNative()
  if (native.ok) return native.value
  if (wanted === 'native')
    throw new Failure('USAGE', 'Native libsodium was asked for, and does not load on this machine.', {
      cause: native.error,
      next: `unset ${FORCE_VARIABLE}, or set it to wasm`,
    })
  return loadWasm()
}

function forced(): SodiumImplementation | undefined {
  const value = process.env[FORCE_VARIABLE]
  if (value === undefined || value === '') return undefined
  if (value === 'wasm' || value === 'native') return value
  throw new Failure('USAGE', `${FORCE_VARIABLE} is neither wasm nor native.`, {
    next: `unset ${FORCE_VARIABLE}, or set it to wasm or native`,
  })
}
