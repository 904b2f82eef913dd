import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Document } from '@sealmesh/protocol/crdt/document'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import { blocksUntil, registerVersions, textAt, type TextHistory, textVersions } from '../history/versions.ts'
import type { Handlers } from '../ipc/door.ts'
import { acknowledged, type AcknowledgingContext, checkLevel } from './acknowledging.ts'
import { DIARY_LAYER, iso, originOf, resolveUmr, type ServiceContext, type Target } from './context.ts'
import { write } from './items.ts'
import { putText } from './texts.ts'

type Version = MethodResult<'history'>['versions'][number]
type Then = MethodResult<'history.at'>

/** What an item was at earlier times, as far back as the blocks that are here tell, and bringing that back. */
export function historyHandlers(context: AcknowledgingContext): Pick<Handlers, 'history' | 'history.at' | 'restore'> {
  return {
    history: async ({ umr, limit }) => {
      const target = itemOf(context, umr)
      const document = await context.documents.open(target.document)
      const text = isText(document, target)
      const endsAt = await endOf(context, target.document)
      const versions = await (text ? textHistory : registerHistory)(context, target, limit)
      // Of a text nothing but what it reads now may be left.
      if (versions.latest.length === 0 && !text)
        throw new Failure('ITEM_NOT_FOUND', `${target.text} was never written here.`)
      return { umr: target.text, versions: versions.latest, earlier: versions.earlier, endsAt }
    },

    'history.at': async ({ umr, at }) => {
      const target = itemOf(context, umr)
      return { umr: target.text, ...(await thenOf(context, target, momentOf(at))) }
    },

    restore: async ({ umr, at, ...waiting }, client) => {
      const target = itemOf(context, umr)
      const atMs = momentOf(at)
      const then = await thenOf(context, target, atMs)
      const key = target.umr.id
      if (then.type === 'nothing')
        throw new Failure('ITEM_NOT_FOUND', `${target.text} was not there at ${iso(atMs)}.`, {
          next: `sealmesh history ${target.text}`,
        })
      checkLevel(context, target.document, waiting)
      const { type } = then
      const done = (written: { block: string; wallMs: number } | undefined) => ({
        umr: target.text,
        type,
        from: iso(atMs),
        write: written?.block ?? null,
        at: written === undefined ? null : iso(written.wallMs),
      })
      if (type === 'text') {
        const written = await putText(context, target, then.value ?? '')
        const writes = [{ document: target.document, writes: [written] }]
        const answer = done(written && { block: written.block, wallMs: written.time.wallMs })
        return { ...answer, ...(await acknowledged(context, writes, waiting, client)) }
      }
      const document = await context.documents.open(target.document)
      if (document.read(key)?.value === (then.value ?? undefined)) return done(undefined)
      const written = await write(
        context,
        target,
        then.value === null ? { type: 'delete', key } : { type: 'set', key, value: then.value },
        waiting,
        client,
      )
      const answer = done({ block: written.write, wallMs: Date.parse(written.at) })
      return written.acknowledged === undefined ? answer : { ...answer, acknowledged: written.acknowledged }
    },
  }
}

function itemOf(context: ServiceContext, umr: string): Target {
  const target = resolveUmr(context, umr)
  if (target.umr.region !== DIARY_LAYER) return target
  throw new Failure('DIARY_PRIVATE', 'Diary entries are written once and have no history.')
}

function momentOf(at: string): number {
  const atMs = Date.parse(at)
  if (Number.isNaN(atMs)) throw new Failure('USAGE', 'The time is not one in ISO 8601.')
  return atMs
}

async function registerHistory(context: ServiceContext, target: Target, limit: number) {
  const key = target.umr.id
  const { latest, earlier } = registerVersions(await context.documents.blocksWith(target.document, key), key, limit)
  const document = await context.documents.open(target.document)
  const siblings = document.siblings(key).map(({ dot }) => dot.hash)
  const aside = new Set(document.aside().map(({ block }) => block.hash))
  const versions = latest.map((entry): Version => {
    const place = siblings.indexOf(entry.dot.hash)
    const state = place === 0 ? 'shown' : place > 0 ? 'beside' : aside.has(entry.dot.hash) ? 'set aside' : 'replaced'
    return {
      ...originOf(context.log.mesh, target.document, entry),
      type: 'register',
      state,
      value: entry.value ?? null,
      edits: 1,
      hunks: [],
    }
  })
  return { latest: versions, earlier }
}

async function textHistory(context: ServiceContext, target: Target, limit: number) {
  const { latest, earlier } = textVersions(await foldedTexts(context, target), target.umr.id, limit)
  const versions = latest.map(({ last, edits, hunks }, at): Version => {
    const { author, time } = last.header
    return {
      ...originOf(context.log.mesh, target.document, { dot: { hash: last.hash }, author, time }),
      type: 'text',
      state: at === 0 ? 'shown' : 'replaced',
      value: null,
      edits,
      hunks: hunks.map((hunk) => ({ ...hunk, removed: [...hunk.removed], added: [...hunk.added] })),
    }
  })
  return { latest: versions, earlier }
}

async function foldedTexts(context: ServiceContext, { document: name }: Target): Promise<TextHistory> {
  const aside = new Set((await context.documents.open(name)).aside().map(({ block }) => block.hash))
  const { base, above } = await context.documents.stored(name)
  const runs = base.runs.filter(({ end }) => !aside.has(end.hash))
  return { runs, blocks: above.filter(({ hash }) => !aside.has(hash)) }
}

const isText = (document: Document, { umr: { id } }: Target): boolean =>
  document.text(id) !== undefined && document.read(id)?.value === undefined

/** The item as this machine's blocks, judged by today's log, give it for that moment. */
async function thenOf(context: ServiceContext, target: Target, atMs: number): Promise<Omit<Then, 'umr'>> {
  const endsAt = await endOf(context, target.document)
  if (endsAt !== null && atMs < Date.parse(endsAt))
    throw new Failure('HISTORY_ENDED', `The history of ${target.text} goes back to ${endsAt}.`, {
      next: `sealmesh history ${target.text}`,
    })
  if (isText(await context.documents.open(target.document), target)) {
    const value = textAt(await foldedTexts(context, target), target.umr.id, atMs) ?? null
    return { type: value === null ? 'nothing' : 'text', at: iso(atMs), value, origin: null }
  }
  const mesh = context.log.mesh
  const { base, above, floors } = await context.documents.stored(target.document)
  const blocks = blocksUntil(above, atMs)
  const then = Document.rebuild(target.document, blocks, judgeWith(mesh), context.now(), context.sodium, base, floors)
  const entry = then.read(target.umr.id)
  const text = then.text(target.umr.id)
  const origin = entry === undefined ? null : originOf(mesh, target.document, entry)
  if (entry?.value !== undefined) return { type: 'register', at: iso(atMs), value: entry.value, origin }
  if (text !== undefined) return { type: 'text', at: iso(atMs), value: text, origin: null }
  return { type: entry === undefined ? 'nothing' : 'register', at: iso(atMs), value: null, origin }
}

/** Before this moment what something replaced or deleted is compacted away; null while every block is whole. */
async function endOf(context: ServiceContext, name: DocumentName): Promise<string | null> {
  const ends = await context.documents.historyEndMs(name)
  return ends === null ? null : iso(ends)
}
