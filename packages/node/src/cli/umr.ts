import { Failure } from '@sealmesh/protocol/errors'
import { parseUmr } from '@sealmesh/protocol/ids'

/** Here already, so that a slip is told in words for people and not in those of the local socket's schema. */
export function checkUmr(umr: string): void {
  if (parseUmr(umr) === undefined)
    throw new Failure('UMR_INVALID', 'That is not a UMR: agent, layer and id, with dots.')
}
