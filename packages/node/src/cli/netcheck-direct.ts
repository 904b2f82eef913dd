import type { Status } from '@sealmesh/protocol/ipc/methods'
import type { Config } from '../config/schema.ts'
import { type Checked, checkPeer, type Step } from '../netcheck/check-relay.ts'
import { DIRECT_NEXT, directLines, targetWords } from './direct-words.ts'
import { oneLine } from './printable.ts'
import type { Session } from './session.ts'

export type Direct = Status['direct']
type Peer = Omit<Direct['peers'][number], 'state'> & { readonly state: Direct['peers'][number]['state'] | null }

/** What the running node says of its direct links, and the ways to where it dials, gone now. */
export interface CheckedDirect extends Omit<Direct, 'peers'> {
  readonly peers: readonly (Peer & { readonly way: Checked; readonly next: string | null })[]
}

/** `seen` is null where no node runs: then only the config says where others are. */
export async function checkDirect(
  { direct: { peers: configured } }: Pick<Config, 'direct'>,
  seen: Direct | null,
): Promise<CheckedDirect> {
  const unseen = (address: string): Peer => ({
    address,
    found: false,
    name: null,
    state: null,
    reason: null,
    nextTryAt: null,
  })
  const peers: Peer[] = [...(seen?.peers ?? configured.map(unseen))]
  const checked = await Promise.all(
    peers.map(async (peer) => {
      const way = await checkPeer(peer.address.replace(/#.*/, ''))
      // Where the way is open and the node is not let in, it knows why.
      const reason = way.reason ?? peer.reason
      return { ...peer, way, next: reason === null ? null : (DIRECT_NEXT[reason as keyof typeof DIRECT_NEXT] ?? null) }
    }),
  )
  return { listening: seen?.listening ?? null, lan: seen?.lan ?? 'off', links: seen?.links ?? [], peers: checked }
}

export function showDirect({ output }: Session, { listening, lan, links, peers }: CheckedDirect): void {
  for (const line of directLines(output, { listening, lan, links, peers: [] }, Date.now()))
    output.print(`direct: ${line}`)
  for (const { way, next, ...peer } of peers) {
    const node =
      peer.state === null ? '' : ` (the node: ${peer.state}${peer.reason === null ? '' : `, ${peer.reason}`})`
    output.print(`${output.styled('bold', targetWords(peer))}${node}`, ...stepLines(way.steps))
    if (next !== null) output.print(`  next: ${next}`)
  }
}

export const stepLines = (steps: readonly Step[]): string[] =>
  steps.map(
    ({ name, ms, reason, found }) =>
      `  ${(reason === null ? 'ok' : 'ENDS').padEnd(5)}${name.padEnd(10)}${`${ms} ms`.padStart(10)}  ${oneLine(found, 300)}`,
  )
