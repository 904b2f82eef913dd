import { coversDot, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Document, Entry } from '@sealmesh/protocol/crdt/document'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { parseUmr } from '@sealmesh/protocol/ids'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { readersOf } from '@sealmesh/protocol/membership/access'
import { registerVersions } from '../history/versions.ts'
import type { Handlers } from '../ipc/door.ts'
import { agentNamed, DIARY_LAYER, iso, nodeName, originOf, resolveUmr, type ServiceContext } from './context.ts'
import { lagOf } from './lag.ts'
import { type NoteSources, notesOn } from './notes.ts'
import { type Between, PeerLook, type PeerSources } from './peers.ts'

type Layer = MethodResult<'why'>['layers'][number]
type Machine = Layer['machines'][number]

/** Versions of a register that are looked through for the one that a machine which lags has. */
const VERSIONS_LOOKED_AT = 1_000

/** Which machine has which version of something, what is missing where, why, and what to do. */
export function whyHandlers(context: ServiceContext & PeerSources & NoteSources): Pick<Handlers, 'why'> {
  return {
    why: async ({ target }) => {
      const mesh = context.log.mesh
      const look = new PeerLook(context, context)
      if (parseUmr(target) !== undefined) {
        const { umr, text, document } = resolveUmr(context, target)
        return { target: text, kind: 'item', layers: [await explain(context, look, document, umr.id)] }
      }
      if (target.includes('.'))
        throw new Failure('UMR_INVALID', `"${target.slice(0, 80)}" is neither an agent nor a UMR of three parts.`)
      const agent = agentNamed(mesh, target)
      const layers = new Set(agent.grants.filter(({ ended }) => ended === null).map(({ layer }) => layer))
      for (const name of context.documents.names()) if (name.agent === agent.id) layers.add(name.layer)
      const explained: Layer[] = []
      for (const layer of [...layers].toSorted())
        explained.push(await explain(context, look, { agent: agent.id, layer }, undefined))
      return { target: agent.name, kind: 'agent', layers: explained }
    },
  }
}

async function explain(
  context: ServiceContext & NoteSources,
  look: PeerLook,
  name: DocumentName,
  item: string | undefined,
): Promise<Layer> {
  const mesh = context.log.mesh
  const agent = mesh.agents.get(name.agent)
  const document = await context.documents.open(name)
  const readers = readersOf(mesh, name.agent, name.layer)
  const concerned = (node: NodeId): boolean => readers.includes(node) || (agent?.hosts.includes(node) ?? false)
  const machines: Machine[] = []
  const versionOf = versionFinder(context, document, item)
  for (const node of look.others().filter(({ id }) => concerned(id)))
    machines.push(await machineRow(context, look.between(node, name), versionOf))
  const lagging = machines.filter(({ lacks }) => lacks > 0).map(({ name: machine }) => machine)
  const lacking = machines.reduce((most, { more }) => Math.max(most, more ?? 0), 0)
  const entry = item === undefined ? undefined : document.read(item)
  const counts = document.counts()
  return {
    agent: agent?.name ?? name.agent.slice(0, 8),
    layer: name.layer,
    blocks: counts.received,
    item: item === undefined ? null : itemOf(context, document, item),
    machines: [
      {
        node: context.node,
        name: nodeName(mesh, context.node),
        here: true,
        has: lacking > 0 ? 'older' : counts.received === 0 ? 'nothing' : 'same',
        version: entry === undefined ? null : originOf(mesh, name, entry),
        lacks: lacking,
        more: null,
        since: null,
        lastHeardAt: null,
        cause: 'here',
        text: readers.includes(context.node)
          ? 'this machine'
          : 'this machine, which may not read what others write here',
        next: null,
      },
      ...machines,
    ],
    notes: name.layer === DIARY_LAYER ? [] : notesOn(context, document, item, lagging),
  }
}

type FindVersion = (vector: VersionVector) => Promise<Entry | undefined>

async function machineRow(context: ServiceContext, between: Between, versionOf: FindVersion): Promise<Machine> {
  const { node, standing, reads, toSend, toReceive, heardAtMs, reason } = between
  const has = standing === undefined || !reads ? undefined : await versionOf(standing.receipted)
  const lag = standing === undefined || toSend === 0 ? undefined : await lagOf(context, [standing])
  const oldestMs = lag?.oldestMs ?? null
  return {
    node: node.id,
    name: node.name,
    here: false,
    has: hasOf(between),
    version: has === undefined || standing === undefined ? null : originOf(context.log.mesh, standing.name, has),
    lacks: toSend,
    more: toReceive,
    since: oldestMs === null ? null : iso(oldestMs),
    lastHeardAt: heardAtMs === null ? null : iso(heardAtMs),
    cause: reason.cause,
    text: reason.text,
    next: reason.next,
  }
}

function hasOf({ reads, standing, toSend, toReceive }: Between): Machine['has'] {
  if (!reads) return 'not shared'
  if (toSend > 0) {
    if (standing?.receipted.length === 0) return 'nothing'
    return toReceive !== null && toReceive > 0 ? 'differs' : 'older'
  }
  if (toReceive === null) return 'unknown'
  return toReceive > 0 ? 'newer' : 'same'
}

/** The latest write of one register that a vector covers. Reads the register's history only if it has to, and once. */
function versionFinder(context: ServiceContext, document: Document, item: string | undefined): FindVersion {
  if (item === undefined) return async () => undefined
  let older: Promise<readonly Entry[]> | undefined
  return async (vector) => {
    const covered = (entry: Entry): boolean => coversDot(vector, entry.dot, document.isAncestor)
    const now = document.siblings(item)
    const first = now[0]
    if (first === undefined || covered(first)) return first
    older ??= context.documents
      .blocksWith(document.name, item)
      .then((blocks) => registerVersions(blocks, item, VERSIONS_LOOKED_AT).latest)
    return (await older).find(covered)
  }
}

function itemOf(context: ServiceContext, document: Document, item: string): Layer['item'] {
  const entry = document.read(item)
  const diary = document.name.layer === DIARY_LAYER
  if (entry?.value !== undefined)
    return {
      type: diary ? 'diary' : 'register',
      value: diary ? null : entry.value,
      origin: originOf(context.log.mesh, document.name, entry),
    }
  if (document.text(item) !== undefined) return { type: 'text', value: null, origin: null }
  if (entry !== undefined)
    return { type: 'deleted', value: null, origin: originOf(context.log.mesh, document.name, entry) }
  return { type: 'nothing', value: null, origin: null }
}
