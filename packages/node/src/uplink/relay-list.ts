import { Failure } from '@sealmesh/protocol/errors'
import type { RelayId } from '@sealmesh/protocol/ids'
import { RELAYS_MAX } from '@sealmesh/protocol/limits'
import { parseRelayAddress, type RelayAddress } from '@sealmesh/protocol/wire/address'

/** One entry of the log's `relay` record, which is in the order of preference. */
export interface Listed {
  readonly address: string
  readonly relay: RelayId
}

/** Throws USAGE. */
export function requireAddress(text: string): RelayAddress {
  const parsed = parseRelayAddress(text)
  if (!parsed.ok) throw new Failure('USAGE', 'The relay address is not one that sealmesh-relay up prints.')
  return parsed.value
}

/**
 * The list with this address in it. A relay that is in it has moved, and keeps its place unless `first`; another one
 * comes to the end, or to the beginning. Throws USAGE when the list is full.
 */
export function withRelay(list: readonly Listed[], address: string, first: boolean): readonly Listed[] {
  const { relay } = requireAddress(address)
  const entry = { address, relay }
  const isListed = list.some((each) => each.relay === relay)
  if (!isListed && list.length >= RELAYS_MAX)
    throw new Failure('USAGE', `A mesh names at most ${RELAYS_MAX} relays.`, { next: 'sealmesh relay rm RELAY' })
  if (first) return [entry, ...list.filter((each) => each.relay !== relay)]
  return isListed ? list.map((each) => (each.relay === relay ? entry : each)) : [...list, entry]
}

export function isSameList(a: readonly Listed[], b: readonly Listed[]): boolean {
  return a.length === b.length && a.every(({ address }, at) => address === b[at]?.address)
}

/** By its address, its id, or the beginning of its id. Throws USAGE. */
export function relayNamed(list: readonly Listed[], named: string): Listed {
  const prefix = named.toLowerCase().replace(/^relay_/, '')
  const byId = list.filter(({ relay }) => prefix.length >= PREFIX_MIN && relay.startsWith(prefix))
  const found = list.find(({ address }) => address === named) ?? (byId.length === 1 ? byId[0] : undefined)
  if (found !== undefined) return found
  throw new Failure('USAGE', 'The mesh names no such relay, or several that begin like this.', {
    next: 'sealmesh relay ls',
  })
}

/** As many characters as `status` shows. */
const PREFIX_MIN = 8
