import { utf8 } from '@sealmesh/protocol/bytes'
import { countMissing } from '@sealmesh/protocol/crdt/vector'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import type { Grant, Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Handlers } from '../ipc/door.ts'
import type { LastHeard } from '../status/last-heard.ts'
import type { ReceiptStore } from '../store/receipt-store.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import { agentNamed, cutsOf, iso, nodeName, type ServiceContext, signAsHolder } from './context.ts'
import { type Change, meshAfter, type Moved, movedBetween, planShares, type Step, writersUnder } from './share-plan.ts'

export type SharingContext = ServiceContext & {
  readonly receipts: Pick<ReceiptStore, 'read'>
  readonly sync: Pick<MeshSync, 'peers'>
  readonly lastHeard: Pick<LastHeard, 'of'>
}

/** Grants: what leaves this machine, and to whom. Nothing does until one of these says so. */
export function sharingHandlers(context: SharingContext): Pick<Handlers, 'share.set' | 'share.ls' | 'share.preview'> {
  return {
    'share.set': async ({ agent: name, changes, newLayer }) => {
      const agent = agentNamed(context.log.mesh, name)
      const meant = changesMeant(context, agent, changes, newLayer === true)
      const steps = planShares(context.log.mesh, agent, meant)
      // What was receipted is told as it stood when the flow stopped.
      const layers = await previewOf(context, agent, layersOf(meant), steps, 0)
      await takeSteps(context, agent, steps)
      return { grants: grantsOf(context.log.mesh, name), changed: steps.length, layers }
    },

    'share.ls': ({ agent }) => ({ grants: grantsOf(context.log.mesh, agent) }),

    'share.preview': async ({ agent: name, changes, newLayer, keys }) => {
      const { mesh } = context.log
      const agent = agentNamed(mesh, name)
      const meant = changesMeant(context, agent, changes, newLayer === true)
      const layers = changes.length > 0 ? layersOf(meant) : sharedLayers(agent)
      return {
        agent: agent.name,
        holder: agent.term === null ? null : nodeName(mesh, agent.term.holder),
        heldHere: agent.term?.holder === context.node,
        layers: await previewOf(context, agent, layers, planShares(mesh, agent, meant), keys),
      }
    },
  }
}

/** Signs what was planned, one record after another. */
export async function takeSteps(context: ServiceContext, agent: MeshAgent, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (step.type === 'grant') {
      const { layer, to, access } = step
      await signAsHolder(context, agent, { type: 'grant', agent: agent.id, layer, to, access })
      continue
    }
    const { grant } = step
    await signAsHolder(context, agent, async (mesh) => {
      const writers = writersUnder(mesh, mesh.agents.get(agent.id) ?? agent, grant)
      // At the last moment before signing: all that was receipted by then still counts.
      const cuts = await cutsOf(context, [{ agent: agent.id, layer: grant.layer }], writers)
      return { type: 'ungrant', agent: agent.id, grant: grant.record, cuts }
    })
  }
}

function changesMeant(
  { layers }: ServiceContext,
  agent: MeshAgent,
  changes: readonly Change[],
  newLayer: boolean,
): Change[] {
  return changes.map(({ layer: name, to }) => {
    const layer = layers.meant(agent.name, name)
    // What is only ended may have any name: it has to be there anyway.
    if (to !== 'none' && !to.endsWith(':none')) layers.refuseSlip(agent, layer, newLayer)
    else if (!agent.grants.some((grant) => grant.layer === layer)) layers.refuseSlip(agent, layer, newLayer)
    return { layer, to }
  })
}

const layersOf = (changes: readonly Change[]): string[] => [...new Set(changes.map(({ layer }) => layer))]

const sharedLayers = (agent: MeshAgent): string[] =>
  [...new Set(agent.grants.filter((grant) => grant.ended === null).map(({ layer }) => layer))].toSorted()

type LayerView = MethodResult<'share.preview'>['layers'][number]

/** What leaves, and to whom: now, and what the steps would add or stop. */
async function previewOf(
  context: SharingContext,
  agent: MeshAgent,
  layers: readonly string[],
  steps: readonly Step[],
  keysMax: number,
): Promise<LayerView[]> {
  const { mesh } = context.log
  const after = meshAfter(mesh, agent, steps)
  const views: LayerView[] = []
  for (const layer of layers) {
    const writers = new Set(writersOf(mesh, agent.id, layer))
    const others = readersOf(mesh, agent.id, layer).filter((node) => node !== context.node)
    const { gains, loses } = movedBetween(mesh, after, agent, layer)
    const named = (moved: Moved) => ({ node: nodeName(mesh, moved.node), access: moved.access })
    views.push({
      layer,
      now: others.map((node) => named({ node, access: writers.has(node) ? 'write' : 'read' })),
      gains: gains.filter(({ node }) => node !== context.node).map(named),
      loses: await Promise.all(
        loses
          .filter(({ node }) => node !== context.node)
          .map(async (moved) => ({ ...named(moved), ...(await receiptedBy(context, agent, layer, moved.node)) })),
      ),
      ...(await contentOf(context, agent, layer, keysMax)),
      revives: await revivedBy(context, agent, layer, gains),
    })
  }
  return views
}

/** How much of a document is at a node by its own word, and when it was last heard. */
async function receiptedBy(context: SharingContext, agent: MeshAgent, layer: string, node: NodeId) {
  const vector = await context.receipts.read(node, { agent: agent.id, layer })
  const heardAtMs = context.sync.peers().find((peer) => peer.node === node)?.view.lastHeardAtMs
  const lastMs = heardAtMs ?? context.lastHeard.of(node)
  return { receipted: countMissing([], vector), lastHeardAt: lastMs === null ? null : iso(lastMs) }
}

/** A right counts for a node's blocks whenever it was given: what it wrote without one comes back with one. */
async function revivedBy({ documents }: SharingContext, agent: MeshAgent, layer: string, gains: readonly Moved[]) {
  const writers = new Set(gains.flatMap(({ node, access }) => (access === 'write' ? [node] : [])))
  if (writers.size === 0) return 0
  const document = await documents.open({ agent: agent.id, layer })
  return document.aside().filter(({ block, reason }) => writers.has(block.header.author) && WANT_OF_RIGHT.has(reason))
    .length
}

const WANT_OF_RIGHT: ReadonlySet<string> = new Set(['NOT_A_WRITER', 'BEYOND_CUT'])

async function contentOf({ documents }: SharingContext, agent: MeshAgent, layer: string, keysMax: number) {
  const document = await documents.open({ agent: agent.id, layer })
  const umrs: string[] = []
  let [registers, texts, bytes] = [0, 0, 0]
  const add = (id: string, content: string) => {
    bytes += utf8(content).length
    if (umrs.length < keysMax) umrs.push(`${agent.name}.${layer}.${id}`)
  }
  for (const key of document.keys()) {
    registers += 1
    add(key, document.read(key)?.value ?? '')
  }
  for (const text of document.textNames()) {
    texts += 1
    add(text, document.text(text) ?? '')
  }
  return { registers, texts, bytes, blocks: document.counts().received, umrs }
}

function grantsOf(mesh: Mesh, name: string | undefined) {
  const agents = name === undefined ? [...mesh.agents.values()] : [agentNamed(mesh, name)]
  return agents.flatMap((agent) =>
    agent.grants
      .filter((grant) => grant.ended === null)
      .map((grant) => ({
        agent: agent.name,
        layer: grant.layer,
        to: nameOfTo(mesh, grant),
        access: grant.access,
        record: grant.record as string,
      })),
  )
}

function nameOfTo(mesh: Mesh, { to }: Grant): string {
  switch (to.type) {
    case 'node':
      return nodeName(mesh, to.node)
    case 'agent':
      return mesh.agents.get(to.agent)?.name ?? to.agent.slice(0, 8)
    case 'standby':
      return 'standby'
  }
}
