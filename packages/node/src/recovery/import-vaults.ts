import { randomBytes } from 'node:crypto'
import { toHex } from '@sealmesh/protocol/bytes'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import type { AgentId, DocumentId, NodeId } from '@sealmesh/protocol/ids'
import type { KeyPair, SealPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type VaultSnapshot, vaultOf } from '@sealmesh/protocol/wire/vault'
import type { Logger } from 'pino'
import { ClosedSets } from '../documents/closed-sets.ts'
import { Documents } from '../documents/documents.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { ChunkCache } from '../snapshots/chunk-cache.ts'
import { documentsIn, fillStore, markPartial } from '../snapshots/fill-store.ts'
import { SnapshotReader } from '../snapshots/read-snapshot.ts'
import { type VaultPort, vaultSource } from '../snapshots/vault-client.ts'
import { DamageBook } from '../store/damage-book.ts'
import { DocumentIndex } from '../store/document-index.ts'
import { documentOfKey, TABLES } from '../store/keys.ts'
import { StandingStore } from '../store/standing-store.ts'
import type { Operation, Store } from '../store/store.ts'
import { decodedBlock } from '../store/survey.ts'
import { makersOf, storedOf, type TrustedVault, verifyVault } from './vault-trust.ts'

export interface ImportDeps {
  readonly store: Store
  readonly log: LogKeeper
  readonly keys: KeyStore
  readonly node: NodeId
  readonly seal: KeyPair<SealPublicKey, 'seal'>
  readonly sodium: Sodium
  readonly logger: Logger
  /** A file for what comes from relays, until this is done. */
  readonly cachePath: string
  readonly onProgress: (text: string) => void
}

/** What came of the snapshots of one machine. */
export interface ImportedVault {
  readonly node: NodeId
  /** When the snapshot was made that was used, by that machine's clock; null when none of them could be. */
  readonly atMs: number | null
  readonly documents: number
  /** Blocks that follow something which is in no snapshot. */
  readonly unplaced: number
  /** Blocks of authors that had no right to write there. */
  readonly refused: number
  readonly agents: readonly AgentId[]
  readonly code: FailureCode | null
}

/** One machine's snapshots at one relay, oldest first. */
export interface FoundVault {
  readonly node: NodeId
  readonly relay: VaultPort
  readonly vault: ReturnType<typeof vaultOf>
  readonly snapshots: readonly VaultSnapshot[]
}

/** Blocks that are received at once: what a few packets bring. */
const BLOCKS_AT_ONCE = 256
const DELETED_AT_ONCE = 1_024

/** The vaults at one relay that are of machines of this log. */
export async function vaultsAt(
  relay: VaultPort,
  { log, sodium }: Pick<ImportDeps, 'log' | 'sodium'>,
): Promise<FoundVault[]> {
  const listing = await relay.vault({ type: 'vaultList' })
  const owners = new Map([...log.mesh.nodes.values()].map(({ id, loginKey }) => [vaultOf(loginKey, sodium), id]))
  return listing.flatMap(({ vault, snapshots }) => {
    const node = owners.get(vault)
    return node === undefined || snapshots.length === 0 ? [] : [{ node, relay, vault, snapshots }]
  })
}

/**
 * Documents and agents' keys out of the newest snapshot of each machine that can be used (docs/spec/11-recovery.md §4).
 * Each is verified before anything of it is stored. A document is taken as it lies there from one machine that has its
 * word on it; of what the others left of it only blocks are taken, as if that machine had sent them.
 */
export async function importVaults(found: readonly FoundVault[], deps: ImportDeps): Promise<ImportedVault[]> {
  const cache = await ChunkCache.open(deps.cachePath)
  try {
    return await importAll(found, { ...deps, cache })
  } finally {
    await cache.close()
  }
}

async function importAll(
  found: readonly FoundVault[],
  deps: ImportDeps & { readonly cache: ChunkCache },
): Promise<ImportedVault[]> {
  const { store, log, sodium } = deps
  await clearDocuments(store)
  const results: ImportedVault[] = []
  const leaveOut = (node: NodeId, code: FailureCode): void =>
    void results.push({ node, atMs: null, documents: 0, unplaced: 0, refused: 0, agents: [], code })
  let open: { snapshot: SnapshotReader; node: NodeId }[] = []
  for (const [node, vaults] of byNode(found)) {
    deps.onProgress('opening snapshots in the vault')
    const opened = await openNewest(node, vaults, deps)
    if (opened instanceof SnapshotReader) open.push({ snapshot: opened, node })
    else leaveOut(node, opened)
  }
  /** What comes of each that does not fail; of those that do, why. */
  const each = async <T>(work: (opened: { snapshot: SnapshotReader; node: NodeId }) => Promise<T>): Promise<T[]> => {
    const done: T[] = []
    for (const opened of open)
      try {
        done.push(await work(opened))
      } catch (error) {
        if (!isInvalid(error)) throw error
        deps.logger.warn({ code: error.code, err: error.message, node: opened.node }, 'a snapshot is left out')
        leaveOut(opened.node, error.code)
        open = open.filter((other) => other !== opened)
      }
    return done
  }
  // All of the logs first: they name the keys of who signed, and who was removed since.
  await each(async ({ snapshot }) => log.receive((await snapshot.log()).records))
  deps.onProgress('comparing snapshots with their signatures')
  const vaults = await each(({ snapshot, node }) => verifyVault(node, snapshot, log.mesh, sodium))
  const received = await importDocuments(vaults, deps)
  for (const vault of vaults) {
    const { unplaced, refused } = received.get(vault) ?? { unplaced: 0, refused: 0 }
    const agents = await adoptAgents(vault, deps)
    const { node, snapshot, names } = vault
    results.push({ node, atMs: snapshot.root.atMs, documents: names.size, unplaced, refused, agents, code: null })
  }
  await markPartial(store, await documentsIn(store))
  return results
}

const isInvalid = (error: unknown): error is Failure => error instanceof Failure && error.code.startsWith('SNAPSHOT_')

/** Of a try that was cut off: part of a document is none. */
async function clearDocuments(store: Store): Promise<void> {
  let batch: Operation[] = []
  const range = { from: Uint8Array.of(TABLES.document), to: Uint8Array.of(TABLES.record) }
  for await (const { key } of store.examine(range)) {
    batch.push({ type: 'delete', key })
    if (batch.length < DELETED_AT_ONCE) continue
    await store.commit(batch)
    batch = []
  }
  await store.commit(batch)
}

function byNode(found: readonly FoundVault[]): Map<NodeId, FoundVault[]> {
  const nodes = new Map<NodeId, FoundVault[]>()
  for (const each of found) nodes.set(each.node, [...(nodes.get(each.node) ?? []), each])
  return nodes
}

/** The newest that opens and is signed by that machine, or why none does. A relay may have lost or spoilt the last. */
async function openNewest(
  node: NodeId,
  vaults: readonly FoundVault[],
  { log, seal, sodium, logger, cache }: ImportDeps & { readonly cache: ChunkCache },
): Promise<SnapshotReader | FailureCode> {
  const all = vaults
    .flatMap(({ relay, vault, snapshots }) => snapshots.map((snapshot) => ({ relay, vault, snapshot })))
    .toSorted((a, b) => b.snapshot.atMs - a.snapshot.atMs)
  let code: FailureCode = 'SNAPSHOT_INVALID'
  for (const { relay, vault, snapshot } of all) {
    try {
      const source = cache.over(vaultSource(relay, vault, snapshot))
      const reader = await SnapshotReader.open(source, { kit: seal }, sodium)
      const signKey = log.mesh.nodes.get(node)?.signKey
      if (reader.root.mesh === log.mesh.id && reader.root.node === node && signKey && reader.root.isSignedBy(signKey)) {
        await requireChunks(reader)
        return reader
      }
    } catch (error) {
      if (!isInvalid(error)) throw error
      code = error.code
    }
    logger.warn({ code, number: snapshot.number }, 'a snapshot in the vault cannot be used')
  }
  return code
}

/** Nothing is taken of one that is not whole: an older one may be. */
async function requireChunks(reader: SnapshotReader): Promise<void> {
  for (const { name } of reader.root.parts) for await (const _ of reader.entries(name));
}

/** First each document as one machine had it; then blocks of what others had, while they bring one another forward. */
async function importDocuments(
  vaults: readonly TrustedVault[],
  deps: ImportDeps,
): Promise<Map<TrustedVault, Received>> {
  const { store, log, sodium, onProgress } = deps
  const makers = makersOf(vaults, log.mesh)
  let bytes = 0
  for (const vault of vaults)
    await fillStore(vault.snapshot, 'documents', store, storedOf(vault, makers, log.mesh, sodium), (more) => {
      bytes += more
      onProgress(`${(bytes / 1_048_576).toFixed(1)} MiB from the vault`)
    })
  const { documents, close } = await openDocuments(deps)
  try {
    let before = Number.POSITIVE_INFINITY
    for (;;) {
      const received = new Map<TrustedVault, Received>()
      for (const vault of vaults) received.set(vault, await receiveBlocks(vault, documents, makers))
      const left = [...received.values()].reduce((sum, { unplaced }) => sum + unplaced, 0)
      if (left === 0 || left >= before) return received
      before = left
    }
  } finally {
    await close()
  }
}

interface Received {
  readonly unplaced: number
  readonly refused: number
}

/** What is here already is no news. */
async function receiveBlocks(
  { node, snapshot }: TrustedVault,
  documents: Documents,
  makers: ReadonlyMap<DocumentId, NodeId>,
): Promise<Received> {
  let [unplaced, refused] = [0, 0]
  let blocks: Uint8Array[] = []
  const receive = async (): Promise<void> => {
    for (const report of await documents.receive(blocks)) {
      unplaced += report.waiting + (report.unknownFloors?.length ?? 0)
      refused += report.refused
    }
    blocks = []
  }
  for await (const entries of snapshot.entries('documents'))
    for (const { key, value } of entries) {
      if (key[0] !== TABLES.block || makers.get(documentOfKey(key)) === node) continue
      blocks.push(value)
      if (blocks.length >= BLOCKS_AT_ONCE) await receive()
    }
  await receive()
  return { unplaced, refused }
}

/** As a running node has them, for as long as it takes. */
async function openDocuments({ store, log, keys, node, sodium, logger }: ImportDeps) {
  const surveyed = { store, sodium, decode: (bytes: Uint8Array) => decodedBlock(bytes, sodium), exists: () => true }
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  const documents = new Documents({
    store,
    index: await DocumentIndex.load(store),
    damage: await DamageBook.load(surveyed),
    standings: await StandingStore.load(store),
    closed: await ClosedSets.load(store, sodium),
    sodium,
    log: logger,
    node,
    mesh: () => log.mesh,
    signKey: keys.sign.secretKey,
    incarnation: mintIncarnation(node, random(SALT_BYTES), sodium),
    random,
    now: Date.now,
  })
  return { documents, close: () => documents.close() }
}

async function adoptAgents({ home }: TrustedVault, { keys }: ImportDeps): Promise<AgentId[]> {
  const { foundingAgent, agents } = home
  const adopted: AgentId[] = []
  for (const seed of [...(foundingAgent === undefined ? [] : [foundingAgent]), ...agents.values()])
    adopted.push(toHex((await keys.adoptAgent(seed)).publicKey) as AgentId)
  return adopted
}
