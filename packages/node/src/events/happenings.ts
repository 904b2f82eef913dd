import { choicesOf } from '@sealmesh/protocol/crdt/choices'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Fork } from '@sealmesh/protocol/crdt/chains'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { NodeEvent, NodeEventType } from '@sealmesh/protocol/ipc/methods'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Withheld } from '@sealmesh/protocol/sync/withholding'
import type { Commit, Documents, ReceiveReport } from '../documents/documents.ts'
import type { FolderNews } from '../folders/ports.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { agentName, DIARY_LAYER, iso, nodeName } from '../service/context.ts'
import { isHere } from '../status/standing.ts'
import type { LinkEvent } from '../uplink/link-event.ts'
import { BlockHappened, isToldBy } from './block-happened.ts'
import type { EventFeed } from './feed.ts'
import { WriteHappened } from './write-happened.ts'

/** Registers in conflict that this process remembers, to say when they are settled. */
const CONFLICTS_MAX = 10_000
const PEERS_LOOKED_AT_MS = 1_000

type Detail = NodeEvent['detail']
/** A document, or all of an agent. */
type About = { readonly agent: DocumentName['agent']; readonly layer: string | null }

export interface HappeningsDeps {
  readonly feed: EventFeed
  readonly documents: Pick<Documents, 'onCommit'>
  readonly log: Pick<LogKeeper, 'mesh' | 'after'>
  readonly node: NodeId
  readonly heard: () => readonly { node: NodeId; atMs: number | null }[]
  readonly now: () => number
}

/** Turns what the parts of a node say into events. */
export class Happenings {
  readonly #deps: HappeningsDeps
  readonly #conflicts = new Set<string>()
  /** Blocks that were set aside or held when a document last changed. */
  readonly #apart = new Map<string, { aside: number; held: number }>()
  readonly #here = new Map<NodeId, boolean>()
  readonly #timer: NodeJS.Timeout
  #heads: readonly RecordHash[]
  #link: 'live' | 'down' | undefined

  constructor(deps: HappeningsDeps) {
    this.#deps = deps
    this.#heads = deps.log.mesh.heads
    deps.documents.onCommit((commit) => this.#committed(commit))
    this.#timer = setInterval(() => this.#lookAtPeers(), PEERS_LOOKED_AT_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  folder(name: DocumentName, { from, ...rest }: FolderNews): void {
    this.#tell('folder', name, rest, from === undefined ? {} : { from })
  }

  /** For parts that have news of their own: compaction, scrub. */
  tell(type: NodeEventType, name: About | undefined, detail: Detail): void {
    this.#tell(type, name, detail)
  }

  /** What does not come through from a peer, or to it; or that it does now. */
  withheld(from: NodeId, { document, what, blocks }: Withheld, healed: boolean): void {
    this.#tell('withheld', document ?? undefined, { what, blocks, healed }, { from })
  }

  forked(name: DocumentName, { author, incarnation, sequence, sides }: Fork): void {
    this.#tell('forked', name, { incarnation, sequence, blocks: sides.length }, { from: author })
  }

  meshChanged(mesh: Mesh): void {
    const news = this.#deps.log.after(this.#heads)
    this.#heads = mesh.heads
    for (const record of news) if (!mesh.voided.has(record.hash)) this.#record(mesh, record)
  }

  onLink(event: LinkEvent): void {
    if (event.type !== 'live' && event.type !== 'down') return
    // Every attempt to dial that fails says so again.
    if (this.#link === event.type) return
    this.#link = event.type
    this.#tell('relay', undefined, { state: event.type, reason: event.type === 'down' ? event.reason : null })
  }

  onReceived(from: NodeId, reports: readonly ReceiveReport[]): void {
    for (const { name, refused } of reports) if (refused > 0) this.#tell('refused', name, { blocks: refused }, { from })
  }

  #committed({ name, document, blocks, changes, local }: Commit): void {
    const { feed, log } = this.#deps
    let told = 0
    for (const block of blocks) {
      if (!isToldBy(block, changes, told)) break
      feed.publish(new BlockHappened(log.mesh, block, local))
      told += block.writes.length
    }
    for (; told < changes.length; told++) feed.publish(new WriteHappened(log.mesh, name, changes[told]!, local))
    // Nearly always nothing is in conflict, and nothing was.
    if (name.layer !== DIARY_LAYER && document.conflicts + this.#conflicts.size > 0) {
      const keys = new Set<string>()
      for (const { writes } of blocks) for (const write of writes) if (write.type !== 'text') keys.add(write.key)
      for (const change of changes) if (change.type !== 'text') keys.add(change.key)
      for (const key of keys) this.#conflict(name, document, key, local)
    }
    if (!local) this.#setApart(name, document)
  }

  /** Also where the value that reading shows stays the same: the other one came all the same. */
  #conflict(name: DocumentName, document: Document, key: string, local: boolean): void {
    const siblings = document.siblings(key)
    const values = siblings.length < 2 ? siblings.length : choicesOf(siblings).length
    const umr = `${agentName(this.#deps.log.mesh, name.agent)}.${name.layer}.${key}`
    if (values < 2 && !this.#conflicts.delete(umr)) return
    if (values > 1 && this.#conflicts.size < CONFLICTS_MAX) this.#conflicts.add(umr)
    this.#tell('conflict', name, { values, settled: values < 2 }, { umr, local })
  }

  #setApart(name: DocumentName, document: Document): void {
    const key = `${name.agent}.${name.layer}`
    const aside = document.aside()
    const before = this.#apart.get(key)
    const now = { aside: aside.length, held: document.held }
    if (before?.aside === now.aside && before.held === now.held) return
    if (before !== undefined || now.aside > 0 || now.held > 0) this.#apart.set(key, now)
    for (const { block, reason } of aside.slice(before?.aside ?? 0))
      this.#tell(
        reason === 'LATE' ? 'late' : 'set-aside',
        name,
        { block: block.hash, reason },
        {
          from: block.header.author,
        },
      )
    if (now.held > (before?.held ?? 0)) this.#tell('held', name, { blocks: now.held })
  }

  #lookAtPeers(): void {
    const nowMs = this.#deps.now()
    for (const { node, atMs } of this.#deps.heard()) {
      const here = isHere(atMs, nowMs)
      const before = this.#here.get(node)
      if (before === here) continue
      this.#here.set(node, here)
      if (before !== undefined || here) this.#tell('peer', undefined, { state: here ? 'here' : 'away' }, { from: node })
    }
  }

  #record(mesh: Mesh, { body, signer, hash }: SignedRecord): void {
    const from = signer.type === 'node' ? signer.node : undefined
    const by = from === undefined ? {} : { from }
    switch (body.type) {
      case 'grant': {
        const { to } = body
        const name =
          to.type === 'node' ? nodeName(mesh, to.node) : to.type === 'agent' ? agentName(mesh, to.agent) : 'standby'
        return this.#tell('grant', body, { to: name, access: body.access }, by)
      }
      case 'ungrant': {
        const grant = mesh.agents.get(body.agent)?.grants.find(({ record }) => record === body.grant)
        return this.#tell('ungrant', { agent: body.agent, layer: grant?.layer ?? null }, {}, by)
      }
      case 'assign': {
        const detail = { term: body.term, holder: nodeName(mesh, body.holder), record: hash as string }
        return this.#tell('takeover', { agent: body.agent, layer: null }, detail, by)
      }
      case 'host':
        return this.#tell('hosts', { agent: body.agent, layer: null }, { nodes: body.nodes.length }, by)
      case 'admit':
        return this.#tell('machine', undefined, { change: body.admin ? 'admin' : 'joined', name: body.node.name }, by)
      case 'revoke':
        return this.#tell('machine', undefined, { change: 'removed', name: nodeName(mesh, body.node) }, by)
      case 'rename':
        return this.#tell('machine', undefined, { change: 'renamed', name: body.name }, by)
      default:
        return
    }
  }

  #tell(
    type: NodeEventType,
    name: About | undefined,
    detail: Detail,
    about: { readonly umr?: string; readonly from?: NodeId; readonly local?: boolean } = {},
  ): void {
    const { feed, log, now } = this.#deps
    const { mesh } = log
    const at = iso(now())
    const nameOf = about.from === undefined ? null : nodeName(mesh, about.from)
    const local = about.local ?? (about.from === undefined ? null : about.from === this.#deps.node)
    feed.publish({
      type,
      agent: name === undefined ? null : agentName(mesh, name.agent),
      layer: name?.layer ?? null,
      count: 1,
      bytes: 400,
      make: () => ({ at, umr: about.umr ?? null, nodeName: nameOf, local, detail }),
    })
  }
}
