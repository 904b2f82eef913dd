import { setTimeout as pause } from 'node:timers/promises'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { ClosedLink } from '@sealmesh/protocol/crdt/closed-set'
import type { ClosedDigest, NodeId } from '@sealmesh/protocol/ids'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'
import type { Logger } from 'pino'
import type { Running } from '../documents/test-homes.ts'
import { ClosedExchange } from './closed-exchange.ts'
import type { SharingPeer } from './sharing.ts'
import type { ClosedScene } from './test-closed.ts'

/** For tests: lets `ClosedExchange` hear what a peer makes up, without a line between them. */
export function exchangeBeside({ homes, sodium }: ClosedScene, running: Running, from: NodeId = homes.mesh.office.id) {
  let nowMs = 0
  const asked: SyncItem[] = []
  const kept: DocumentName[] = []
  const sent: SyncItem[] = []
  let room = Number.POSITIVE_INFINITY
  let isTooSoon = false
  const exchange = new ClosedExchange({
    node: homes.mesh.home.id,
    sodium,
    closed: running.closed,
    index: running.index,
    mesh: () => homes.mesh.mesh,
    monotonicMs: () => nowMs,
    logger: { warn: (fields: unknown) => void running.warnings.push(fields) } as unknown as Logger,
    kept: async (_, name) => !isTooSoon && kept.push(name) > 0,
    send: (_, items) => {
      if (room === 0) return false
      room -= 1
      return sent.push(...items) > 0
    },
  })
  const core = { say: (item: SyncItem) => void asked.push(item) }
  const peer = { node: from, core, met: true } as unknown as SharingPeer
  const hear = (links: readonly ClosedLink[]) =>
    exchange.take(peer, [{ type: 'closed', document: homes.semantic, links: links.map(({ bytes }) => bytes) }])
  const want = (digest: ClosedDigest, by: NodeId | null = peer.node) => exchange.want(peer, homes.semantic, digest, by)
  const open = (items: readonly SyncItem[]) => exchange.opened(peer, items)
  const beAsked = async (digests: readonly ClosedDigest[]) => {
    await exchange.take(
      peer,
      digests.map((digest) => ({ type: 'want-closed', document: homes.semantic, digest })),
    )
    await answer()
  }
  const answer = async () => {
    exchange.answer(peer)
    await pause(20)
  }
  const tooSoon = (is: boolean) => void (isTooSoon = is)
  const giveRoom = (packets: number) => void (room = packets)
  const tick = () => exchange.tick([peer])
  const passMs = (ms: number) => void (nowMs += ms)
  const shortened = (items: readonly SyncItem[]) => exchange.shortened(peer.node, items)
  return { asked, kept, sent, hear, want, open, shortened, beAsked, answer, tooSoon, giveRoom, tick, passMs }
}
