import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { HybridTime } from '@sealmesh/protocol/crdt/hybrid-time'
import { Failure } from '@sealmesh/protocol/errors'
import {
  type AgentId,
  formatUmr,
  type IncarnationId,
  type NodeId,
  parseId,
  parseUmr,
  type Umr,
} from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import { agentByName, nodeByName } from '@sealmesh/protocol/membership/access'
import type { Mesh, MeshAgent, MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { Cut, RecordBody, SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import type { Diary } from '../diary/diary.ts'
import type { Documents } from '../documents/documents.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Layers } from './layers.ts'

/** What the handlers of the local socket work on; each takes the part that it uses. */
export interface ServiceContext {
  readonly node: NodeId
  readonly incarnation: IncarnationId
  readonly signKey: Secret<'sign'>
  readonly log: LogKeeper
  readonly documents: Documents
  readonly layers: Layers
  readonly diary: Diary
  readonly sodium: Sodium
  readonly logger: Logger
  readonly now: () => number
}

export { DIARY_LAYER } from '../config/layer-names.ts'

export interface Target {
  readonly umr: Umr
  readonly text: string
  readonly agent: MeshAgent
  readonly document: DocumentName
}

/** What names are looked up in. */
export interface Names {
  readonly log: { readonly mesh: Mesh }
  readonly layers: Pick<Layers, 'meant'>
}

export function resolveUmr({ log: { mesh }, layers }: Names, text: string): Target {
  const parsed = parseUmr(text)
  if (parsed === undefined) throw new Failure('UMR_INVALID', `"${text.slice(0, 80)}" is not a UMR of three parts.`)
  const agent = agentNamed(mesh, parsed.agent)
  const layer = layers.meant(parsed.agent, parsed.region)
  const document = { agent: agent.id, layer }
  if (layer === parsed.region) return { umr: parsed, text, agent, document }
  const umr = { ...parsed, region: layer }
  return { umr, text: formatUmr(umr), agent, document }
}

/** The beginning of UMRs, with the layer's own name where its alias is written out. */
export function meantPrefix({ layers }: Names, prefix: string): string {
  const [agent = '', region, ...id] = prefix.split('.')
  return region === undefined || id.length === 0 ? prefix : [agent, layers.meant(agent, region), ...id].join('.')
}

export function agentNamed(mesh: Mesh, name: string): MeshAgent {
  const agent = agentByName(mesh, name)
  if (agent === undefined) throw new Failure('AGENT_UNKNOWN', `No agent of this mesh is called "${name.slice(0, 64)}".`)
  return agent
}

export const nodeName = (mesh: Mesh, node: NodeId): string => mesh.nodes.get(node)?.name ?? node.slice(0, 8)
export const agentName = (mesh: Mesh, agent: AgentId): string => mesh.agents.get(agent)?.name ?? agent.slice(0, 8)

let lastIso: { readonly wallMs: number; readonly text: string } | undefined

/** A block's writes share their time, so the last answer often serves again. */
export function iso(wallMs: number): string {
  if (lastIso?.wallMs !== wallMs) lastIso = { wallMs, text: new Date(wallMs).toISOString() }
  return lastIso.text
}

/**
 * For whom a machine wrote: the document's own agent where the machine is one of its hosts, else the agent that a
 * grant names and that lives there, else the one that founded the machine.
 */
export function writerOf(mesh: Mesh, document: DocumentName, author: NodeId): string {
  const owner = mesh.agents.get(document.agent)
  if (owner === undefined) return document.agent.slice(0, 8)
  if (owner.hosts.includes(author)) return owner.name
  for (const { layer, to } of owner.grants) {
    const granted = layer === document.layer && to.type === 'agent' ? mesh.agents.get(to.agent) : undefined
    if (granted?.hosts.includes(author) === true) return granted.name
  }
  return mesh.nodes.get(author)?.foundingAgent.name ?? nodeName(mesh, author)
}

export const originOf = (
  mesh: Mesh,
  document: DocumentName,
  entry: { dot: { hash: string }; author: NodeId; time: HybridTime },
) => ({
  write: entry.dot.hash,
  node: entry.author,
  nodeName: nodeName(mesh, entry.author),
  writer: writerOf(mesh, document, entry.author),
  at: iso(entry.time.wallMs),
  wallMs: entry.time.wallMs,
})

/** A record about an agent, signed by this node as the holder of its term. */
export function signAsHolder(
  context: Pick<ServiceContext, 'log' | 'node' | 'signKey'>,
  agent: MeshAgent,
  body: RecordBody | ((mesh: Mesh) => RecordBody | Promise<RecordBody>),
): Promise<SignedRecord> {
  if (agent.term?.holder !== context.node)
    throw new Failure('NOT_THE_HOLDER', `${agent.name} is held by another node, and only its holder may sign for it.`)
  return context.log.append(body, { type: 'node', node: context.node }, context.signKey)
}

/**
 * What counts of writers whose right ends: their own blocks that are here. Nothing of what others wrote, which would
 * tell every member of documents that were never granted to it.
 */
export async function cutsOf(
  context: Pick<ServiceContext, 'documents' | 'sodium'>,
  names: readonly DocumentName[],
  writers: readonly NodeId[],
): Promise<Cut[]> {
  const cuts: Cut[] = []
  for (const document of names) {
    const all = await context.documents.vectorOf(document)
    const vector = all.filter((dot) =>
      writers.some((writer) => isIncarnationOf(dot.incarnation, writer, context.sodium)),
    )
    if (vector.length > 0) cuts.push({ document, vector })
  }
  return cuts
}

/** By its name or its id, removed ones included. Throws NODE_UNKNOWN. */
export function nodeNamed(mesh: Mesh, named: string): MeshNode {
  const id = parseId('node', named)
  const node = id === undefined ? nodeByName(mesh, named) : mesh.nodes.get(id)
  if (node !== undefined) return node
  throw new Failure('NODE_UNKNOWN', `No node of this mesh is called "${named.slice(0, 64)}".`)
}

/** Of the mesh now. */
export function memberNamed(mesh: Mesh, named: string): MeshNode {
  const node = nodeNamed(mesh, named)
  if (node.revocations.length === 0) return node
  throw new Failure('NODE_UNKNOWN', `${node.name} has been removed from the mesh.`)
}
