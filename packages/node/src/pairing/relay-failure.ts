import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import { refusalMessage } from './failure-message.ts'

/** What a relay's refusal means to somebody who holds a link or a code. */
export function relayFailure(reason: FailureCode | null): Failure {
  switch (reason) {
    case 'TOKEN_EXPIRED':
      return new Failure('LINK_EXPIRED', refusalMessage('LINK_EXPIRED', 'joiner'))
    case 'TOKEN_INVALID':
    case 'MESH_NOT_ADMITTED':
    case 'CLAIM_REQUIRED':
    case 'LOGIN_SIGNATURE':
      return new Failure(
        'LINK_INVALID',
        'The relay does not know this link: it was taken back, or is of another relay.',
      )
    case 'NODE_REVOKED':
      return new Failure('LINK_INVALID', 'The machine that made this link was removed from the mesh.')
    case 'DUPLICATE_LOGIN':
      return new Failure('LINK_USED', 'Another machine is using this link at the moment.')
    case null:
      return new Failure('RELAY_UNREACHABLE', 'The relay that the link names does not answer.')
    default:
      return new Failure(reason, 'The relay that the link names did not let this machine in.')
  }
}
