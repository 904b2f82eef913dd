import { ADDRESS_WINDOW_MS, ADDRESSES_MAX } from './limits.ts'
import type { AddressState, RelayState, World } from './state.ts'

/** What strangers from one address may do before they have logged in. Those who log in well are never slowed. */

export function mayGreet(state: RelayState, address: string, world: World): boolean {
  const known = windowOf(state, address, world)
  if (known === undefined) return false
  const { addressGreetingsMax, addressFailuresMax } = state.limits
  return known.greetings < addressGreetingsMax && known.failures < addressFailuresMax
}

/** Whether nothing is to be spent on it until its minute is over, not even a handshake. */
export function isBarred(state: RelayState, address: string, nowMs: number): boolean {
  const known = state.addresses.get(address)
  if (known === undefined || known.failures < state.limits.addressFailuresMax) return false
  return nowMs - known.windowMs < ADDRESS_WINDOW_MS
}

export function greetingBegan(state: RelayState, address: string): void {
  const known = state.addresses.get(address)
  if (known !== undefined) known.greetings += 1
}

export function greetingEnded(state: RelayState, address: string, failed: boolean): void {
  const known = state.addresses.get(address)
  if (known === undefined) return
  known.greetings = Math.max(0, known.greetings - 1)
  if (failed) known.failures += 1
}

export function forgetAddresses(state: RelayState, world: World): void {
  for (const [address, known] of state.addresses) {
    if (known.greetings === 0 && world.nowMs - known.windowMs >= ADDRESS_WINDOW_MS) state.addresses.delete(address)
  }
}

function windowOf(state: RelayState, address: string, world: World): AddressState | undefined {
  const known = state.addresses.get(address)
  if (known === undefined) {
    if (state.addresses.size >= ADDRESSES_MAX) return undefined
    const fresh = { greetings: 0, failures: 0, windowMs: world.nowMs }
    state.addresses.set(address, fresh)
    return fresh
  }
  if (world.nowMs - known.windowMs >= ADDRESS_WINDOW_MS) {
    known.windowMs = world.nowMs
    known.failures = 0
  }
  return known
}
