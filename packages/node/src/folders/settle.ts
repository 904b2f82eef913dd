import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { editsBetween, editsToUnion } from '../text/text-edits.ts'
import { contentOf } from './core/content.ts'
import { CHUNK_PREFIX, chunkKey, fileKey, textName } from './core/entry.ts'
import { CHUNK_BYTES, GONE_MS, GONE_OTHERS_MS, RETIRED_MS } from './core/limits.ts'
import { besideName } from './core/names.ts'
import type { TreeFile } from './core/tree.ts'
import { chunkIn } from './pull.ts'
import { setEntry } from './plan.ts'
import type { MirrorState } from './state.ts'
import { pushTexts, type TextPush } from './text-pushes.ts'

/**
 * What two machines did at once and one of them has to tidy up. Always the one whose write came off worse, so that it
 * is done once; until then both are kept, and shown. True when something was written.
 */
export async function settle(state: MirrorState): Promise<boolean> {
  const { document: port } = state.deps
  if (port.refusal() !== undefined) return false
  const document = await port.open()
  const texts: TextPush[] = []
  const entries: Intent[] = []
  for (const file of state.tree.files.values()) {
    if (file.behind !== undefined && file.author === port.node) {
      const first = state.tree.files.get(file.behind)
      if (first !== undefined && areOneText(first, file)) {
        const [theirs, mine] = [document.text(textName(first.id)) ?? '', document.text(textName(file.id)) ?? '']
        texts.push({ id: first.id, base: theirs, edits: editsToUnion(theirs, mine) })
        entries.push(setEntry(file.id, { ...file.entry, gone: state.deps.hashOf(mine) }, file.writes))
        state.note(file.entry.path, 'merged', 'made on two machines at once: merged')
      } else {
        entries.push(setEntry(file.id, { ...file.entry, path: file.shown }, file.writes))
        state.note(file.shown, 'copy', `stands beside ${file.entry.path}, which another file has`)
      }
      continue
    }
    for (const sibling of file.siblings) {
      if (sibling.author !== port.node) continue
      const seen = [file.write, sibling.write]
      const { entry } = sibling
      const keeps = entry.kind === 'binary' && entry.gone === undefined
      if (keeps && file.entry.kind === 'binary' && entry.hash !== file.entry.hash) {
        const id = state.deps.newId()
        const path = besideName(file.entry.path, id.slice(0, 6))
        entries.push(setEntry(id, { ...entry, path }, undefined))
        state.note(path, 'copy', `changed on two machines at once: kept both, the other is ${file.shown}`)
      }
      entries.push(setEntry(file.id, file.entry, seen))
      break
    }
  }
  if (texts.length === 0 && entries.length === 0) return false
  await pushTexts(state, texts)
  await port.write(entries)
  return true
}

const areOneText = (a: TreeFile, b: TreeFile): boolean =>
  a.entry.kind === 'text' && b.entry.kind === 'text' && a.entry.path === b.entry.path

/** What a program wrote to a file that it had open while it was replaced. */
export async function lookAtRetired(state: MirrorState, sinceMs = RETIRED_MS): Promise<void> {
  const { disk, document, now, hashOf } = state.deps
  const due = state.retired.filter(({ atMs }) => now() - atMs >= sinceMs)
  for (const each of due) {
    const bytes = await disk.readRetired(each.retired)
    const content = bytes === undefined ? undefined : contentOf(bytes, hashOf)
    if (content !== undefined && content.hash !== each.hash && document.refusal() === undefined) {
      if (content.text !== undefined && each.text !== undefined) {
        await pushTexts(state, [{ id: each.id, base: each.text, edits: editsBetween(each.text, content.text) }])
        state.note(each.key, 'merged', 'written to while it was replaced: merged')
      }
    }
    await disk.dropRetired(each.retired)
    state.retired.splice(state.retired.indexOf(each), 1)
  }
  const [next] = state.retired
  if (next !== undefined) state.again('', next.atMs + RETIRED_MS)
}

/** Now and then: entries of files long deleted, texts and chunks that no file names, chunks that went missing. */
export async function tidy(state: MirrorState): Promise<void> {
  const { document: port, now, disk } = state.deps
  if (port.refusal() !== undefined) return
  const document = await port.open()
  const intents: Intent[] = []
  const cleared: string[] = []
  for (const { id, entry, author, wallMs, writes } of state.tree.gone.values()) {
    // Whoever deleted it goes first, so that not all do.
    if (now() - wallMs < (author === port.node ? GONE_MS : GONE_OTHERS_MS)) continue
    intents.push({ type: 'delete', key: fileKey(id), seen: writes })
    if (entry.kind === 'text') cleared.push(id)
  }
  const named = new Set<string>()
  const name = (entry: TreeFile['entry']): void => {
    if (entry.kind === 'binary') for (const hash of entry.chunks) named.add(hash)
  }
  for (const { entry, siblings } of state.tree.files.values()) {
    name(entry)
    for (const sibling of siblings) name(sibling.entry)
  }
  for (const { entry } of state.tree.gone.values()) name(entry)
  for (const key of document.keys()) {
    if (!key.startsWith(CHUNK_PREFIX) || named.has(key.slice(CHUNK_PREFIX.length))) continue
    const chunk = document.read(key)
    // The entry that names it may still be on its way.
    if (chunk !== undefined && now() - chunk.time.wallMs > GONE_OTHERS_MS) intents.push({ type: 'delete', key })
  }
  for (const [key, base] of state.base) {
    const file = state.tree.files.get(base.id)
    const there = state.disk.get(key)
    if (file?.entry.kind !== 'binary' || file.entry.hash !== base.hash || there?.found.stamp !== base.stamp) continue
    if (file.entry.chunks.every((hash) => chunkIn(document, hash) !== undefined)) continue
    const bytes = await disk.read(there.found)
    if (bytes === undefined || state.deps.hashOf(bytes) !== base.hash) continue
    for (const [n, hash] of file.entry.chunks.entries()) {
      if (chunkIn(document, hash) !== undefined) continue
      const chunk = Buffer.from(bytes.subarray(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES)).toString('base64')
      intents.push({ type: 'set', key: chunkKey(hash), value: JSON.stringify(chunk), seen: 'all' })
    }
  }
  if (cleared.length > 0)
    await port.edit((doc) => {
      for (const id of cleared) {
        const text = doc.getText(textName(id))
        text.delete(0, text.length)
      }
    }, [])
  if (intents.length > 0) await port.write(intents)
}
