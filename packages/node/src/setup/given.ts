import { Failure } from '@sealmesh/protocol/errors'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import { codeFrom } from '../pairing/word-list.ts'
import type { JoinOptions } from './join.ts'

/** What a person gave to `join`: a link alone, or a code and where to use it. */
export function givenFrom(text: string, relay: string | undefined, hasPerson: boolean): JoinOptions['given'] {
  const code = codeFrom(text)
  if (code === undefined) {
    if (relay === undefined) return text
    throw new Failure('USAGE', 'A link says which relay; --relay goes with a code: six digits and two words.')
  }
  // A script that tries codes is what one try per code is there against.
  if (!hasPerson)
    throw new Failure('USAGE', 'A code is for two people at two terminals.', { next: 'sealmesh join LINK' })
  const address = relay === undefined ? undefined : parseRelayAddress(relay)
  if (address?.ok !== true)
    throw new Failure('USAGE', 'A code needs the address that sealmesh-relay up printed.', {
      next: 'sealmesh join CODE --relay ADDRESS',
    })
  return { code, relay: address.value }
}
