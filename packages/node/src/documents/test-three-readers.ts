import { toHex } from '@sealmesh/protocol/bytes'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { decodeRow, blockOf } from '@sealmesh/protocol/crdt/row'
import type { BlockHash, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import { loadSodium } from '@sealmesh/sodium/load'
import { Compaction } from './compaction.ts'
import type { TestNode } from './fixture.ts'
import { type Running, set, sync, TestHomes, valueOf } from './test-homes.ts'

/** Three readers who may all write; what each has receipted is what it has said, and nothing else. */

export const NAMES = ['home', 'office', 'laptop'] as const
export type Name = (typeof NAMES)[number]

/** When the test's log was written: lapses and returns are of this hour. */
export const LOG_MS = 1_700_000_000_000
export const DAY_MS = 86_400_000
export const sodium = await loadSodium()

export let homes: TestHomes
export let running: Record<Name, Running>
export let heard: Record<Name, Map<NodeId, VersionVector>>
let ms: number

/** Time passes. */
export const wait = (forMs: number): void => void (ms += forMs)

export const now = (): number => ms++
export const nodeOf = (name: Name): TestNode => homes.mesh[name]

export async function begin(): Promise<void> {
  ms = LOG_MS
  homes = await TestHomes.make(sodium)
  const { agent, office, laptop } = homes.mesh
  for (const to of [office, laptop])
    homes.mesh.append(
      { type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: to.id }, access: 'write' },
      'agent',
    )
  running = {} as typeof running
  heard = { home: new Map(), office: new Map(), laptop: new Map() }
  for (const name of NAMES) running[name] = await homes.start(name, nodeOf(name), { now })
}

export const write = (at: Name, key: string, value: string) =>
  running[at].documents.write(homes.semantic, [set(key, value)])
export const erase = (at: Name, key: string) => running[at].documents.write(homes.semantic, [{ type: 'delete', key }])
export const read = (at: Name, key: string) => valueOf(running[at].documents, homes.semantic, key)

/** All that `to` lacks; then both know what the other has said. */
export async function send(from: Name, to: Name, bytes = 100_000): Promise<void> {
  const { semantic } = homes
  await sync(running[from].documents, running[to].documents, semantic, bytes, nodeOf(from).id)
  heard[from].set(nodeOf(to).id, await running[to].documents.claimOf(semantic))
  heard[to].set(nodeOf(from).id, await running[from].documents.claimOf(semantic))
  for (const at of [from, to]) await running[at].documents.reached(semantic, heard[at])
}

export async function meet(...names: Name[]): Promise<void> {
  for (let round = 0; round < 2; round++)
    for (const from of names) for (const to of names) if (from !== to) await send(from, to)
}

export async function compact(at: Name): Promise<boolean> {
  return new Compaction({
    documents: running[at].documents,
    node: nodeOf(at).id,
    mesh: () => homes.mesh.mesh,
    receipted: async (peer) => heard[at].get(peer) ?? [],
    log: { info: () => {}, warn: () => {} },
    historyMs: -10_000_000,
    historyBytes: 0,
    floorBytes: 0,
  }).compact(homes.semantic)
}

export async function lapse(who: Name, by: Name = 'home'): Promise<void> {
  const { mesh, semantic } = homes
  const own = new Set((await running[who].documents.vectorOf(semantic)).map(({ incarnation }) => incarnation))
  const vector = (await running[by].documents.vectorOf(semantic)).filter((dot) => own.has(dot.incarnation))
  mesh.append({ type: 'lapse', node: nodeOf(who).id, cuts: [{ document: semantic, vector }] }, nodeOf(by))
  await judge()
}

export async function comeBack(who: Name): Promise<void> {
  const { mesh } = homes
  const publicKey = new Uint8Array(32).fill(mesh.mesh.records.size) as never
  const days = { notBeforeMs: mesh.mesh.records.size, expiresMs: 10_000, mailboxes: new Uint8Array(32) }
  mesh.append({ type: 'prekey', node: nodeOf(who).id, publicKey, ...days }, nodeOf(who))
  await judge()
}

export const judge = async () => {
  for (const name of NAMES) await running[name].documents.meshChanged()
}

export const stateOf = async (at: Name) => {
  const document = await running[at].documents.open(homes.semantic)
  return { digest: toHex(document.digest()), vector: document.vector, text: document.text('notes') }
}

export async function listedAt(at: Name): Promise<string[]> {
  const listed: string[] = []
  for await (const [, { write: each }] of running[at].documents.leftOut.all())
    listed.push(`${each.key}=${each.type === 'delete' ? '' : each.value}`)
  return listed.toSorted()
}

export const codesAt = (at: Name) => running[at].warnings.map((each) => (each as { code: string }).code)
export const MADE_UP = {
  incarnation: 'ff'.repeat(16) as IncarnationId,
  sequence: 7,
  hash: 'ff'.repeat(32) as BlockHash,
}

/** All rows of a sender's base, without those that say something of these keys. */
export async function baseWithout(at: Name, keys: readonly string[]): Promise<PrunedItem> {
  const { pruned } = await running[at].documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('There is a base.')
  const rows: PrunedItem['rows'][number][] = []
  let last = new Map<string, number>()
  for (const row of pruned.rows) {
    const decoded = decodeRow(row.bytes, sodium)
    if (!decoded.ok) throw new Error('A row is what it says.')
    const { header, writes } = blockOf(decoded.value) as ReturnType<typeof blockOf> & {
      readonly kept?: ReadonlyMap<number, { readonly write: { readonly key?: string } }>
      readonly writes?: readonly { readonly key?: string }[]
    }
    const isEnd = pruned.ends.some(
      ({ dot }) => dot.incarnation === header.incarnation && dot.sequence === header.sequence,
    )
    const says = JSON.stringify([...(writes ?? [])]) + Buffer.from(row.bytes).toString('latin1')
    if (!isEnd && keys.some((key) => says.includes(key))) continue
    rows.push({ ...row, after: Math.min(row.after, last.get(header.incarnation) ?? 0) })
    last = last.set(header.incarnation, header.sequence)
  }
  return { ...pruned, rows }
}

/** Home writes; office has part of it, as whole blocks, and knows of nobody's word; both go on. */
export async function newcomer(): Promise<void> {
  for (let i = 0; i < 12; i++) await write('home', `key-${i}`, `of home ${i}`)
  const { blocks } = await running.home.documents.after(homes.semantic, [], 100_000)
  await running.office.documents.receive(blocks)
}

/** From office to home, without a word of what either has. */
export async function quietly(from: Name, to: Name): Promise<void> {
  await sync(running[from].documents, running[to].documents, homes.semantic, 100_000, nodeOf(from).id)
  heard[to].set(nodeOf(from).id, await running[from].documents.vectorOf(homes.semantic))
}

export const receive = (at: Name, item: PrunedItem, from: Name) =>
  running[at].documents.receivePruned([item], nodeOf(from).id)

/** A base with the rows of an earlier one beside its own: what was deleted between the two is read again. */
export function withRowsOf(earlier: PrunedItem, item: PrunedItem): PrunedItem {
  const at = ({ bytes }: PrunedItem['rows'][number]) => {
    const decoded = decodeRow(bytes, sodium)
    if (!decoded.ok) throw new Error('A row is what it says.')
    const { incarnation, sequence } = blockOf(decoded.value).header
    return { incarnation, sequence }
  }
  const byPlace = new Map<string, PrunedItem['rows'][number]>()
  for (const row of [...earlier.rows, ...item.rows]) byPlace.set(JSON.stringify(at(row)), row)
  const rows = [...byPlace.values()].toSorted((a, b) => at(a).sequence - at(b).sequence)
  const last = new Map<IncarnationId, number>()
  return {
    ...item,
    rows: rows.map((row) => {
      const { incarnation, sequence } = at(row)
      const after = last.get(incarnation) ?? 0
      last.set(incarnation, sequence)
      return { ...row, after }
    }),
  }
}
