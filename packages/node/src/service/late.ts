import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { Failure } from '@sealmesh/protocol/errors'
import type { BlockHash, DocumentId } from '@sealmesh/protocol/ids'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { DIARY_LAYER, agentName, agentNamed, iso, nodeName, type ServiceContext } from './context.ts'
import type { Handlers } from '../ipc/door.ts'
import type { LeftOut } from '../store/left-out-store.ts'
import type { MergedLate } from './merged-late.ts'
import { openAside } from './open-aside.ts'
import { merge, putText } from './texts.ts'

type Aside = Awaited<ReturnType<Handlers['late.ls']>>['aside'][number]
type AsideWrite = Aside['writes'][number]

/** Blocks that are kept and shown and folded by nobody, and merging one of them by choice. */
export function lateHandlers(
  context: ServiceContext & { readonly mergedLate: MergedLate },
): Pick<Handlers, 'late.ls' | 'late.merge' | 'late.drop'> {
  return {
    'late.ls': async ({ agent }) => {
      const mesh = context.log.mesh
      const owner = agent === undefined ? undefined : agentNamed(mesh, agent).id
      const aside: Aside[] = []
      for (const name of context.documents.names()) {
        if (owner !== undefined && name.agent !== owner) continue
        const document = await withAside(context, name)
        if (document === undefined) continue // `status` says which are damaged.
        for (const { block, reason, term } of openAside(document, context.mergedLate)) {
          aside.push({
            agent: agentName(mesh, name.agent),
            layer: name.layer,
            reason,
            block: block.hash,
            nodeName: nodeName(mesh, block.header.author),
            at: iso(block.header.time.wallMs),
            term,
            writes: writesOf(document, block, `${agentName(mesh, name.agent)}.${name.layer}.`),
          })
        }
      }
      for (const group of await leftOutOf(context)) {
        const [{ name, block, author, wallMs }] = group.left
        if (owner !== undefined && name.agent !== owner) continue
        const agentIs = agentName(mesh, name.agent)
        aside.push({
          agent: agentIs,
          layer: name.layer,
          reason: 'LEFT_OUT',
          block,
          nodeName: nodeName(mesh, author),
          at: iso(wallMs),
          term: null,
          writes: group.left.map(({ write }) => ({
            umr: `${agentIs}.${name.layer}.${write.key}`,
            type: write.type,
            value: write.type === 'delete' ? null : write.value,
          })),
        })
      }
      return { aside }
    },

    'late.merge': async ({ block: prefix }) => {
      const chosen = onlyOne(await keptApart(context), prefix)
      if ('left' in chosen) return { written: await takeBack(context, chosen) }
      const written = await reissue(context, chosen.document, chosen.block)
      await context.mergedLate.add([chosen.block.hash])
      return { written }
    },

    'late.drop': async ({ blocks: prefixes }) => {
      const all = await keptApart(context)
      // All are found before one goes.
      const chosen = new Set(prefixes.map((prefix) => onlyOne(all, prefix)))
      const dropped: BlockHash[] = []
      for (const each of chosen) {
        if ('left' in each) await context.documents.leftOut.remove(each.id, each.left)
        dropped.push(hashOf(each))
      }
      await context.mergedLate.add([...chosen].flatMap((each) => ('left' in each ? [] : [each.block.hash])))
      return { dropped }
    },
  }
}

/** Late blocks and what bases have left out, until somebody has dealt with it. */
async function keptApart(context: ServiceContext & { readonly mergedLate: MergedLate }): Promise<KeptApart[]> {
  const found: KeptApart[] = await leftOutOf(context)
  for (const name of context.documents.names()) {
    const document = await withAside(context, name)
    if (document === undefined) continue
    for (const { block } of openAside(document, context.mergedLate)) found.push({ document, block })
  }
  return found
}

type KeptApart = LeftGroup | { readonly document: Document; readonly block: Block }

const hashOf = (each: KeptApart): BlockHash => ('left' in each ? each.left[0].block : each.block.hash)

function onlyOne(all: readonly KeptApart[], prefix: string): KeptApart {
  const [only, ...more] = prefix === '' ? [] : all.filter((each) => hashOf(each).startsWith(prefix))
  if (only === undefined || more.length > 0)
    throw new Failure('BLOCK_NOT_FOUND', 'No single block that is kept apart has a hash that begins with that.')
  return only
}

interface LeftGroup {
  readonly id: DocumentId
  /** Of one block. */
  readonly left: readonly [LeftOut, ...LeftOut[]]
}

/** What was read here until a base took its place that has not got it: by the block that had said it. */
async function leftOutOf({ documents }: ServiceContext): Promise<LeftGroup[]> {
  const groups: { id: DocumentId; left: [LeftOut, ...LeftOut[]] }[] = []
  for await (const [id, left] of documents.leftOut.all()) {
    const last = groups.at(-1)
    if (last?.id === id && last.left[0].block === left.block) last.left.push(left)
    else groups.push({ id, left: [left] })
  }
  return groups
}

/** Writes it again, as this node's own, over what is read there now. */
async function takeBack(context: ServiceContext, { id, left }: LeftGroup): Promise<string[]> {
  const { name } = left[0]
  const { agent, start } = mergeable(context, name)
  const intents: Intent[] = []
  const written: string[] = []
  for (const { write } of left) {
    if (write.type === 'text') {
      const umr = { agent: agent.name, region: name.layer, id: write.key }
      await putText(context, { umr, text: start + write.key, agent, document: name }, write.value)
    } else intents.push(write)
    written.push(start + write.key)
  }
  if (intents.length > 0) await context.documents.write(name, intents)
  await context.documents.leftOut.remove(id, left)
  return written
}

/** Loaded only if something is kept apart in it. */
async function withAside({ documents }: ServiceContext, name: DocumentName): Promise<Document | undefined> {
  const facts = await documents.facts(name)
  return facts === undefined || facts.aside.length === 0 ? undefined : documents.openWhole(name)
}

/** Writes a late block's words again, as this node's own under the present term. */
async function reissue(context: ServiceContext, document: Document, block: Block): Promise<string[]> {
  const { agent, start } = mergeable(context, document.name)
  const { incarnation, sequence, time } = block.header
  const merges = [{ dot: { incarnation, sequence, hash: block.hash }, time }]
  const written: string[] = []
  const intents: Intent[] = []
  for (const write of block.writes) {
    if (write.type === 'text') {
      for (const { name, text } of textsWith(document, block)) {
        const umr = { agent: agent.name, region: document.name.layer, id: name }
        const target = { umr, text: start + name, agent, document: document.name }
        if ((await putText(context, target, text)) !== undefined) written.push(start + name)
      }
    } else {
      intents.push(
        write.type === 'set'
          ? { type: 'set', key: write.key, value: write.value, merges }
          : { type: 'delete', key: write.key, merges },
      )
      written.push(start + write.key)
    }
  }
  if (intents.length > 0) await context.documents.write(document.name, intents)
  return written
}

function mergeable({ log }: ServiceContext, name: DocumentName): { agent: MeshAgent; start: string } {
  const agent = log.mesh.agents.get(name.agent)
  if (agent === undefined || name.layer === DIARY_LAYER)
    throw new Failure('BLOCK_NOT_FOUND', 'That block belongs to a document which takes no merges here.')
  return { agent, start: `${agent.name}.${name.layer}.` }
}

/**
 * The texts that this block edits, as they would read with it folded. It stands on the same writer's earlier edits,
 * which were set aside with it: of the texts that it touches those come along, other texts stay as they are. What
 * others wrote since is merged as Yjs merges it.
 */
function textsWith(document: Document, block: Block): { name: string; text: string }[] {
  const chain = document
    .aside()
    .map((each) => each.block)
    .filter(({ header }) => header.incarnation === block.header.incarnation)
    .filter(({ header }) => header.sequence <= block.header.sequence)
    .sort((a, b) => a.header.sequence - b.header.sequence)
  const updatesOf = (blocks: readonly Block[]) =>
    blocks.flatMap(({ writes }) => writes.flatMap((write) => (write.type === 'text' ? [write.update] : [])))
  const before = merge(document.yDoc, updatesOf(chain.filter(({ hash }) => hash !== block.hash)))
  const after = merge(document.yDoc, updatesOf(chain))
  const changed: { name: string; text: string }[] = []
  for (const name of after.share.keys()) {
    const text = after.getText(name).toString()
    if (text !== before.getText(name).toString()) changed.push({ name, text })
  }
  return changed
}

function writesOf(document: Document, block: Block, start: string): AsideWrite[] {
  return block.writes.flatMap((write): AsideWrite[] => {
    switch (write.type) {
      case 'set':
        return [{ umr: start + write.key, type: 'set', value: write.value }]
      case 'delete':
        return [{ umr: start + write.key, type: 'delete', value: null }]
      case 'text':
        return textsWith(document, block).map(({ name, text }) => ({ umr: start + name, type: 'text', value: text }))
    }
  })
}
