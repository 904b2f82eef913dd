import type { LinkError } from '@sealmesh/protocol/pairing/link'
import type { Refusal } from '@sealmesh/protocol/pairing/message'

/** One sentence for each way in which a pairing ends, as the machine that is told sees it. */
export function refusalMessage(reason: Refusal, at: 'inviter' | 'joiner'): string {
  switch (reason) {
    case 'LINK_USED':
      return 'Another machine has used this link: it lets one machine in.'
    case 'LINK_EXPIRED':
      return 'The link has expired: it is valid for ten minutes.'
    case 'CODE_WRONG':
      return at === 'joiner'
        ? 'The code was wrong, and is void now: it is good for one try.'
        : 'Somebody tried a wrong code: it is void, and nobody was let in.'
    case 'PAIRING_WORDS_DIFFER':
      return 'The words on the two machines are not the same.'
    case 'PAIRING_TIMEOUT':
      return at === 'joiner'
        ? 'The other machine did not answer in time. Is its node running and connected?'
        : 'The new machine stopped answering before it had everything. If it is in the list of nodes, pair it again.'
    case 'KEY_MISMATCH':
      return at === 'joiner'
        ? 'This machine does not have the private halves of the keys that it named: it was not let in.'
        : 'The new machine does not have the private halves of the keys that it named: it was not let in.'
    case 'PAIRING_REFUSED':
      return at === 'joiner'
        ? 'The other machine ended the pairing, or what it sent does not hold against the link.'
        : 'The new machine ended the pairing, or what it sent does not fit together.'
  }
}

export function linkMessage(why: LinkError['why']): string {
  switch (why) {
    case 'no-link':
      return 'This is not a pairing link: one begins with sealmesh: and is a single word.'
    case 'characters':
      return 'The link holds characters that no link has: it was changed on the way.'
    case 'cut-or-changed':
      return 'The link is incomplete or was changed on the way: copy all of it.'
    case 'other-version':
      return 'The link was made by another version of Sealmesh.'
    case 'relay-address':
      return 'The link names a relay address that this version does not dial.'
  }
}
