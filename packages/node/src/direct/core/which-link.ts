import type { NodeId } from '@sealmesh/protocol/ids'

export type DialledBy = 'here' | 'there'

/**
 * Which of two links between the same machines stays: both ends come to the same answer without a word. The one that the
 * machine with the smaller id dialled, as soon as it is there; of two that the same one dialled the newer, since its
 * dialler knows that the older one is gone.
 */
export function keeps(me: NodeId, peer: NodeId, older: DialledBy, newer: DialledBy): 'older' | 'newer' {
  if (older === newer) return 'newer'
  const first: DialledBy = me < peer ? 'here' : 'there'
  return newer === first ? 'newer' : 'older'
}
