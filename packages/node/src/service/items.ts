import { choicesOf } from '@sealmesh/protocol/crdt/choices'
import type { Entry } from '@sealmesh/protocol/crdt/document'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { type BlockHash, isItemId } from '@sealmesh/protocol/ids'
import type { Waiting } from '@sealmesh/protocol/ipc/acknowledging'
import type { ItemView } from '@sealmesh/protocol/ipc/methods'
import { REGISTER_VALUE_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { z } from 'zod'
import type { Written } from '../documents/documents.ts'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import { acknowledged, type AcknowledgingContext, checkLevel } from './acknowledging.ts'
import {
  agentName,
  DIARY_LAYER,
  iso,
  meantPrefix,
  nodeName,
  originOf,
  resolveUmr,
  type ServiceContext,
  type Target,
} from './context.ts'
import { Places } from './places.ts'

/** Registers by name: get, set, list, remove. */
export function itemHandlers(context: AcknowledgingContext): Pick<Handlers, 'get' | 'set' | 'set.many' | 'ls' | 'rm'> {
  const places = new Places(context)
  return {
    get: async ({ umr }) => {
      const target = resolveUmr(context, umr)
      return { item: await read(context, target) }
    },

    set: async ({ umr, value, tags, seen, newLayer, ...waiting }, client) => {
      const target = places.of(umr)
      context.layers.refuseSlip(target.agent, target.document.layer, newLayer === true)
      checkValue(value)
      checkLevel(context, target.document, waiting)
      if (target.umr.region === DIARY_LAYER) return setDiary(context, target, value, tags, waiting, client)
      const key = target.umr.id
      const intent: Intent =
        seen === undefined ? { type: 'set', key, value } : { type: 'set', key, value, ...seenBy(seen) }
      return write(context, target, intent, waiting, client)
    },

    'set.many': async ({ writes, onlyChanged, newLayer, ...waiting }, client) => {
      const byDocument = new Map<string, Group>()
      // Nearly always all are of one document.
      let group: Group | undefined
      for (const { umr, value } of writes) {
        if (group === undefined || !umr.startsWith(group.start)) {
          const start = umr.slice(0, umr.indexOf('.', umr.indexOf('.') + 1) + 1)
          group = byDocument.get(start)
          if (group === undefined) {
            const target = resolveUmr(context, umr)
            context.layers.refuseSlip(target.agent, target.document.layer, newLayer === true)
            checkLevel(context, target.document, waiting)
            if (target.umr.region === DIARY_LAYER)
              throw new Failure('DIARY_PRIVATE', 'Diary entries are written one at a time.')
            group = { start, target, intents: [] }
            byDocument.set(start, group)
          }
        }
        const key = umr.slice(group.start.length)
        if (!isItemId(key)) throw new Failure('UMR_INVALID', `The id in "${umr.slice(0, 80)}" cannot be used.`)
        checkValue(value)
        group.intents.push({ type: 'set', key, value })
      }
      const written = await Promise.all(
        [...byDocument.values()].map(async ({ target: { document }, intents }) => {
          const wanted = onlyChanged ? await changed(context, document, intents) : intents
          return { document, writes: await context.documents.write(document, wanted) }
        }),
      )
      const count = written.reduce((sum, each) => sum + each.writes.length, 0)
      const answer = { written: count, unchanged: writes.length - count }
      return { ...answer, ...(await acknowledged(context, written, waiting, client)) }
    },

    rm: async ({ umr, seen, ...waiting }, client) => {
      const target = resolveUmr(context, umr)
      const document = await context.documents.open(target.document)
      if (document.read(target.umr.id)?.value === undefined)
        throw new Failure('ITEM_NOT_FOUND', `${target.text} is not there to remove.`)
      checkLevel(context, target.document, waiting)
      return write(context, target, { type: 'delete', key: target.umr.id, ...seenBy(seen) }, waiting, client)
    },

    ls: async ({ prefix: given, limit }) => {
      const prefix = meantPrefix(context, given)
      const mesh = context.log.mesh
      const items: Listed[] = []
      const damaged: string[] = []
      const names = context.documents
        .names()
        .map((name) => ({ name, start: `${agentName(mesh, name.agent)}.${name.layer}.` }))
      names.sort((a, b) => (a.start < b.start ? -1 : 1))
      for (const { name, start } of names) {
        if (!start.startsWith(prefix) && !prefix.startsWith(start)) continue
        const document = await context.documents.openWhole(name)
        if (document === undefined) damaged.push(start.slice(0, -1))
        else for (const item of listDocument(mesh, document, start)) if (item.umr.startsWith(prefix)) items.push(item)
      }
      items.sort((a, b) => (a.umr < b.umr ? -1 : 1))
      return { items: items.slice(0, limit), truncated: items.length > limit, damaged }
    },
  }
}

const seenBy = (seen: readonly string[] | undefined) => (seen === undefined ? {} : { seen: seen as BlockHash[] })

/** What a call writes to one document. */
interface Group {
  /** Of the UMRs: agent and layer, with the dots behind them. */
  readonly start: string
  readonly target: Target
  readonly intents: Intent[]
}

type Listed = Awaited<ReturnType<Handlers['ls']>>['items'][number]

function* listDocument(mesh: Mesh, document: Document, start: string): Generator<Listed> {
  const diary = document.name.layer === DIARY_LAYER
  for (const key of document.keys()) {
    const entry = document.read(key)
    if (entry?.value === undefined) continue
    yield {
      umr: start + key,
      type: diary ? 'diary' : 'register',
      bytes: utf8(entry.value).length,
      at: iso(entry.time.wallMs),
      nodeName: nodeName(mesh, entry.author),
      conflicts: choicesOf(document.siblings(key)).length - 1,
    }
  }
  for (const text of document.textNames())
    yield {
      umr: start + text,
      type: 'text',
      bytes: utf8(document.text(text) ?? '').length,
      at: null,
      nodeName: null,
      conflicts: 0,
    }
}

async function read(context: ServiceContext, target: Target): Promise<ItemView | null> {
  const document = await context.documents.open(target.document)
  const entry = document.read(target.umr.id)
  if (target.umr.region === DIARY_LAYER) return readDiary(context, target, entry)
  if (entry?.value !== undefined) {
    return {
      umr: target.text,
      type: 'register',
      value: entry.value,
      origin: originOf(context.log.mesh, target.document, entry),
      conflicts: choicesOf(document.siblings(target.umr.id)).length - 1,
    }
  }
  const text = document.text(target.umr.id)
  return text === undefined ? null : { umr: target.text, type: 'text', text }
}

async function changed(context: ServiceContext, name: DocumentName, intents: readonly Intent[]): Promise<Intent[]> {
  const document = await context.documents.open(name)
  return intents.filter((intent) => intent.type !== 'set' || document.read(intent.key)?.value !== intent.value)
}

/** One register write, answered when it is durable here, or as far as the caller waits for it. */
export async function write(
  context: AcknowledgingContext,
  target: Target,
  intent: Intent,
  waiting: Waiting,
  client: DoorContext,
) {
  const { document } = target
  const writes = await context.documents.write(document, [intent])
  return { ...answerOf(target, writes), ...(await acknowledged(context, [{ document, writes }], waiting, client)) }
}

function answerOf(target: Target, [written]: readonly Written[]) {
  if (written === undefined) throw new Failure('INTERNAL', 'A write was answered without its block.')
  return { umr: target.text, write: written.block, at: iso(written.time.wallMs) }
}

const DiaryMetadata = z.object({ atMs: z.number(), characters: z.number().int(), tags: z.array(z.string()) })

/** Content into the diary's own store; only time, length and the tags that the agent chose become a document. */
async function setDiary(
  context: AcknowledgingContext,
  target: Target,
  value: string,
  tags: readonly string[],
  waiting: Waiting,
  client: DoorContext,
) {
  const parsed: unknown = JSON.parse(value)
  const content = typeof parsed === 'string' ? parsed : value
  const entry = await context.diary.put(target.agent.id, target.umr.id, content, tags)
  const metadata = JSON.stringify({ atMs: entry.atMs, characters: entry.characters, tags: entry.tags })
  return write(context, target, { type: 'set', key: target.umr.id, value: metadata }, waiting, client)
}

async function readDiary(context: ServiceContext, target: Target, entry: Entry | undefined): Promise<ItemView | null> {
  const own = await context.diary.get(target.agent.id, target.umr.id)
  const noted = entry?.value === undefined ? undefined : DiaryMetadata.safeParse(JSON.parse(entry.value)).data
  // What this node noted it also kept: an older content, or none, is damage, and nobody else has the right one.
  if (noted !== undefined && entry?.author === context.node && (own === undefined || own.atMs < noted.atMs))
    throw new Failure('STORE_DAMAGED', 'The content of this diary entry was on this disk, and is lost.', {
      next: 'restore the diary folder of the home from a backup: no other machine has it',
    })
  const metadata = own ?? noted
  if (metadata === undefined) return null
  const { atMs, characters, tags } = metadata
  return { umr: target.text, type: 'diary', content: own?.content ?? null, at: iso(atMs), characters, tags: [...tags] }
}

export function checkValue(value: string): void {
  // Three bytes at most for each code unit: short values need no encoding to know that they fit.
  if (value.length * 3 > REGISTER_VALUE_BYTES_MAX && utf8(value).length > REGISTER_VALUE_BYTES_MAX)
    throw new Failure(
      'VALUE_TOO_LARGE',
      `The value is larger than a register may be (${REGISTER_VALUE_BYTES_MAX} bytes).`,
    )
  try {
    JSON.parse(value)
  } catch (cause) {
    throw new Failure('VALUE_INVALID', 'The value is not JSON.', { cause })
  }
}
