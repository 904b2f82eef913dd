import { rm } from 'node:fs/promises'
import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { isIncarnationOf, mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import { formatId } from '@sealmesh/protocol/ids'
import { methods } from '@sealmesh/protocol/ipc/methods'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import { loadSodium } from '@sealmesh/sodium/load'
import { openAgents } from './agents/open-agents.ts'
import { closeOnce } from './close-once.ts'
import { ConfigKeeper } from './config/config-keeper.ts'
import { CommitTimes } from './drills/commit-times.ts'
import { stayAway } from './drills/killed-note.ts'
import { openDrills } from './service/open-drills.ts'
import { reloadOnHangUp } from './service/reload-on-hang-up.ts'
import { Diary } from './diary/diary.ts'
import { Direct } from './direct/open-direct.ts'
import { Compaction } from './documents/compaction.ts'
import { ClosedSets } from './documents/closed-sets.ts'
import { Documents } from './documents/documents.ts'
import { HomeHealth } from './health/home-health.ts'
import { openHealth } from './health/open-health.ts'
import { EventFeed } from './events/feed.ts'
import { openAcknowledgements } from './failover/open-acknowledgements.ts'
import { Happenings } from './events/happenings.ts'
import { openFailover } from './failover/open-failover.ts'
import { Folders } from './folders/folders.ts'
import { Refusals } from './events/refusals.ts'
import { type Handlers, serveDoor } from './ipc/door.ts'
import { prepareHome, resolveHome } from './keys/home.ts'
import { lockHome } from './keys/home-lock.ts'
import { KeyStore } from './keys/key-store.ts'
import { claimSocketPath } from './keys/socket-path.ts'
import { openLog } from './log.ts'
import { LogKeeper, storedRecord } from './membership/log-keeper.ts'
import { AWARENESS_LIFE_MS, Presence } from './presence/presence.ts'
import { openRandom } from './random.ts'
import { KitNote } from './recovery/kit-note.ts'
import { DefaultShares } from './service/default-shares.ts'
import { Layers } from './service/layers.ts'
import { handlersOf } from './service/handlers.ts'
import { openLogCopies } from './service/log-copies.ts'
import { MergedLate } from './service/merged-late.ts'
import { openInviter } from './service/pairing.ts'
import { tellRelayOfRevoked } from './service/devices.ts'
import { nameGiven } from './service/relays.ts'
import { keepUp } from './service/upkeep.ts'
import {
  chooseName,
  ensureOwnAgent,
  ensurePrekeys,
  foundMesh,
  MEMBERSHIP,
  Membership,
  meshIdOf,
  nodeIdFrom,
  requireOwnKeys,
} from './setup/identity.ts'
import { adoptAdminToken } from './setup/admin-token.ts'
import { Snapshots } from './snapshots/snapshots.ts'
import { finishRestore } from './snapshots/swap-home.ts'
import type { StartOptions } from './start-options.ts'
import { Forks } from './trust/forks.ts'
import { Withholdings } from './trust/withholdings.ts'
import { openRelays } from './uplink/open-relays.ts'
import { requireAddress } from './uplink/relay-list.ts'
import { Quarantine } from './quarantine/quarantine.ts'
import { unopenedBy } from './quarantine/unopened.ts'
import { DamageBook } from './store/damage-book.ts'
import { StandingStore } from './store/standing-store.ts'
import { LastHeard } from './status/last-heard.ts'
import { DocumentIndex } from './store/document-index.ts'
import { TABLES } from './store/keys.ts'
import { hasCorruption } from './store/database.ts'
import { openSoundStore } from './store/open-store.ts'
import { Meta } from './store/meta.ts'
import { ReceiptStore } from './store/receipt-store.ts'
import { RecordStore } from './store/record-store.ts'
import { recoverIndex } from './store/recover-index.ts'
import { decodedBlock, type Surveyed } from './store/survey.ts'
import { MeshSync } from './sync/mesh-sync.ts'
import { PacketPort } from './sync/packet-port.ts'

export interface RunningNode {
  /** The methods of the local socket, for a process that hosts its own node. */
  readonly handlers: Handlers
  close(): Promise<void>
  /** Settles when the node has stopped: by `close`, by `sealmesh down`, or because it cannot go on. */
  readonly done: Promise<void>
  readonly info: {
    readonly home: string
    readonly socketPath: string
    readonly node: string
    readonly mesh: string
    readonly firstRun: boolean
  }
}

/** The one place of the node that makes clocks, dice, databases, sockets and loggers. */
export async function startNode(options: StartOptions): Promise<RunningNode> {
  const closers: (() => Promise<void> | void)[] = []
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    return await compose(options, closers, closeAll, false)
  } catch (error) {
    await closeAll()
    if (!(error instanceof Failure) || error.code !== 'STORE_DAMAGED' || !hasCorruption(error)) throw error
  }
  // A table that LevelDB cannot read, met on the way: the next try rebuilds the database from what is whole first.
  try {
    return await compose(options, closers, closeAll, true)
  } catch (error) {
    await closeAll()
    throw error
  }
}

async function compose(
  options: StartOptions,
  closers: (() => Promise<void> | void)[],
  closeAll: () => Promise<void>,
  distrusted: boolean,
): Promise<RunningNode> {
  const startedAtMs = Date.now()
  const now = Date.now
  const random = openRandom()
  const home = resolveHome(options.home, process.env)
  await finishRestore(home)
  if (!(await KeyStore.exists(home.keys)) && options.relay === undefined)
    throw new Failure('NODE_NOT_SET_UP', `The home ${home.path} belongs to no mesh yet.`)
  const named = options.relay === NO_RELAY ? undefined : options.relay
  if (named !== undefined) requireAddress(named)
  await prepareHome(home)
  const config = await ConfigKeeper.load(home.config)
  const lock = await lockHome(home)
  closers.push(() => lock.release())
  const logger = openLog(home.log, options.logLevel ?? config.now.node.log_level)
  closers.push(() => logger.flush())
  await stayAway(home.drills, now, logger)
  const sodium = await loadSodium()
  const socketPath = await claimSocketPath(home, process.env)

  const sound = await openSoundStore(home.db, {
    now,
    monotonicMs: () => performance.now(),
    mirrored: true,
    distrusted,
  })
  const { store } = sound
  closers.push(() => sound.close())
  // Of thousands of documents; beside what waits for the disk. Whoever needs it hears of its failure.
  const indexing = DocumentIndex.load(store)
  indexing.catch(() => undefined)
  const diary = await Diary.open(home.diary, now)
  closers.push(() => diary.close())
  const meta = new Meta(store)

  const known = await meta.read(MEMBERSHIP, Membership)
  const firstRun = known === undefined
  // Keys and a pin, but nothing that says which mesh: founding another one would part this node from its own.
  if (firstRun && sound.health.fellBack !== undefined)
    throw new Failure('STORE_DAMAGED', `The database of ${home.path} is lost, and its second copy as well.`, {
      next: 'restore the home from a backup, or use another home and pair again: peers still have what was shared',
    })
  const failed = (error: unknown) => logger.error({ err: error }, 'the state of this home could not be kept')
  const health = await HomeHealth.load(meta, now, failed)
  closers.push(() => health.close())
  // A join that never finished leaves keys without a root; founding a mesh starts afresh.
  if (firstRun && options.relay !== undefined && (await KeyStore.exists(home.keys))) {
    const begun = await KeyStore.load(home.keys, { sodium, random }, options.passphrase)
    if (begun.root === undefined) await rm(home.keys, { recursive: true })
  }
  const keys = (await KeyStore.exists(home.keys))
    ? await KeyStore.load(home.keys, { sodium, random }, options.passphrase)
    : await KeyStore.create(home.keys, { sodium, random }, { root: true })
  const meshId = meshIdOf(known, keys)
  const node = nodeIdFrom(keys, sodium)

  const { records, stored, damaged } = await RecordStore.load(store)
  const membership = MembershipLog.restore(
    meshId,
    stored.map((bytes) => storedRecord(bytes, sodium)),
    sodium,
  )
  const log = new LogKeeper({ log: membership, records, sodium, now })
  if (firstRun) {
    const name = chooseName(options.name)
    await foundMesh(log, keys, meta, { mesh: name, node: name, agent: options.agent ?? name }, sodium)
  }

  requireOwnKeys(log.mesh, node, keys, { damaged, ...sound.health })
  const incarnation = mintIncarnation(node, random(SALT_BYTES), sodium)
  const signKey = keys.sign.secretKey
  let scrubAtOnce = (): void => undefined
  const surveyed: Surveyed = {
    store,
    sodium,
    decode: (bytes) => decodedBlock(bytes, sodium),
    unreadable: () => scrubAtOnce(),
    exists: (id) => [...log.mesh.nodes.keys()].some((each) => isIncarnationOf(id, each, sodium)),
  }
  const damage = await DamageBook.load(surveyed)
  const standings = await StandingStore.load(store)
  const index = await indexing
  if (index.damaged.length > 0) await recoverIndex(surveyed, index)
  closers.push(() => index.writePages().catch(() => undefined))
  const refusals = new Refusals()
  const closed = await ClosedSets.load(store, sodium)
  const times = new CommitTimes(() => performance.now())
  const documents = new Documents({
    store,
    index,
    damage,
    standings,
    closed,
    sodium,
    log: logger,
    node,
    mesh: () => log.mesh,
    signKey,
    incarnation,
    random,
    now,
    fence: (agent) => opened.failover.fence(agent),
    baseRefused: (name, code) => refusals.noteBase(name, code),
    onWritten: times.note,
  })
  closers.push(() => documents.close())
  if (sound.health.fellBack !== undefined || sound.health.rebuilt !== undefined) await documents.catchUp.wasPutBack()

  const port = new PacketPort({
    sodium,
    node,
    incarnation,
    signKey,
    mailboxes: keys.mailboxes,
    prekeys: () => keys.prekeys(),
    mesh: () => log.mesh,
    random,
    now,
  })
  const receipts = new ReceiptStore(store, TABLES.receipt, closed)
  const handed = new ReceiptStore(store, TABLES.handed, closed)
  const relays = await openRelays({
    wayBackPath: home.wayBack,
    keys,
    membership: log,
    node,
    mesh: meshId,
    given: named,
    claim: options.claim,
    config: () => config.now,
    env: process.env,
    meta,
    sodium,
    now,
    log: logger,
  })
  closers.push(() => relays.close())
  const direct = new Direct({ node, keys, log, relays, config: () => config.now, sodium, random, now, logger })
  closers.push(() => direct.close())
  const layers = new Layers(() => config.now, documents)
  const context = { node, incarnation, signKey, log, documents, layers, diary, sodium, logger, now }
  const inviter = openInviter({ mesh: meshId, node, keys, log, meta, relays, sodium, random, now, logger })
  closers.push(() => inviter.close())
  const quarantine = await Quarantine.load({ meta, sodium, now, failed })
  closers.push(() => quarantine.close())
  const sync = new MeshSync({
    node,
    sodium,
    documents,
    log,
    closed,
    index,
    receipts,
    handed,
    port,
    onUnopened: unopenedBy({
      isPairing: (packet) => inviter.onPacket(packet),
      isLogCopy: (packet) => copies.onPacket(packet),
      comesTwice: () => log.mesh.relays.length > 1 || direct.isOn,
      keep: (packet, failure) => quarantine.add(packet, failure),
      say: (code) => logger.warn({ code }, 'packet not used'),
      newPrekey: () => void ensurePrekeys(log, keys, node, now(), true).catch(failed),
      askAgain: () => sync.askAgain(),
      wantRecords: () => sync.wantRecords(),
      monotonicMs: () => performance.now(),
    }),
    onReceived: (from, reports) => {
      refusals.note(from, reports)
      happenings.onReceived(from, reports)
    },
    onHeads: (from, heard) => withholdings.heard(from, heard),
    onProgress: (_, names) => acknowledging.acknowledgements.progressed(names),
    onFailover: (...heard) => opened.failover.onItem(...heard),
    onAside: (from, item, lacksRecords) => {
      if (item.type === 'drill') return drills.onItem(from, item)
      if (item.type === 'awareness') return presence.heard(from, item.document, item.update)
      agents.onItem(from, item, lacksRecords)
    },
    monotonicMs: () => performance.now(),
    wallMs: now,
    logger,
  })
  closers.push(() => sync.close())
  const between = { port, sync, relays, meta, store, health, random }
  const opened = await openFailover({
    ...context,
    ...between,
    send: (packet) => direct.paths.send(packet),
    happenings: () => happenings,
    config: () => config.now,
  })
  const { failover } = opened
  const acknowledging = openAcknowledgements({ ...context, sync, lease: failover })
  closers.push(() => acknowledging.close())
  const withholdings = new Withholdings({
    mesh: () => log.mesh,
    aheadMs: () => now() - performance.now(),
    isBusy: (name) => documents.isComing(name) || documents.leftOut.isFull,
    onNews: (from, withheld, healed) => happenings.withheld(from, withheld, healed),
  })
  const forks = new Forks({ documents, index, onNews: (name, fork) => happenings.forked(name, fork) })
  const lastHeard = await LastHeard.load(meta)
  const copies = await openLogCopies({ node, keys, log, meta, relays, sync, lastHeard, sodium, random, now, logger })
  closers.push(() => copies.close())
  const common = { meta, health, documents, index, damage, sync, mesh: () => log.mesh, node, now, failed }
  const watched = await openHealth({ ...common, sound, diary, keys, surveyed, startedAtMs })
  const { watch, scrubber } = watched
  closers.push(() => watched.close())
  scrubAtOnce = () => void scrubber.run().catch(failed)
  const feed = new EventFeed(toHex(random(4)))
  const happenings = new Happenings({ feed, documents, log, node, heard: () => sync.heard(), now })
  health.onNews = (type, what) => happenings.tell(type, undefined, { what })
  documents.onSwitched((name, gone) => happenings.tell('caught-up', name, { gone }))
  closers.push(() => happenings.close())
  const presence = new Presence({
    node,
    mesh: () => log.mesh,
    monotonicMs: () => performance.now(),
    wallMs: now,
    tell: (document, update) => sync.tellAwareness({ type: 'awareness', document, update }, AWARENESS_LIFE_MS),
  })
  closers.push(() => presence.close())
  const compaction = new Compaction({
    onDrawn: (name) => happenings.tell('compaction', name, {}),
    documents,
    node,
    mesh: () => log.mesh,
    receipted: (peer, name) => receipts.read(peer, name),
    log: logger,
  })
  closers.push(() => compaction.close())
  compaction.start()
  direct.paths.onEvent = (event) => {
    sync.onLinkEvent(event)
    failover.onLinkEvent(event)
  }
  relays.onEvent = (event) => {
    direct.paths.heed(event)
    copies.onLinkEvent(event)
    watch.onLinkEvent(event)
    happenings.onLink(event)
  }
  relays.onRelay = (relay, event) => {
    failover.onRelay(relay, event)
    if (event.type === 'live') void tellRelayOfRevoked({ ...context, meta, relays }, { relay })
  }
  sync.attach(direct.paths)
  closers.push(() => opened.close())
  const defaults = new DefaultShares(context, () => config.now)
  const folders = await Folders.open({
    store,
    documents,
    node,
    mesh: () => log.mesh,
    home: home.path,
    log: logger,
    now,
    tell: (name, news) => happenings.folder(name, news),
  })
  closers.push(() => folders.close())
  const parts = { ...between, relays: direct.paths, closed, receipts, config, home, times, withholdings }
  const [{ acknowledgements }, { fence }] = [acknowledging, failover]
  const withDoor = { ...context, acknowledgements, home, store, random, config: () => config.now, env: process.env }
  const agents = await openAgents({ ...withDoor, ...between, fence, send: (packet) => direct.paths.send(packet, true) })
  closers.push(() => agents.close())
  const drills = await openDrills({ ...context, ...parts, failover })
  closers.push(() => drills.close())
  log.onChange(async (mesh) => {
    port.meshChanged(mesh)
    direct.meshChanged(mesh)
    await documents.meshChanged()
    failover.meshChanged()
    await sync.meshChanged(mesh)
    folders.meshChanged()
    await relays.meshChanged(mesh)
    void defaults.apply() // Signs records itself, so it has to wait for this one.
    happenings.meshChanged(mesh)
    for (const packet of quarantine.release((sender) => mesh.nodes.has(sender)))
      sync.onLinkEvent({ type: 'deliver', packet, acknowledge: () => undefined })
    copies.meshChanged()
    await adoptAdminToken({ log, keys, meta, sodium }, node, now())
  })
  await ensurePrekeys(log, keys, node, now())
  await ensureOwnAgent(log, keys, node)
  const rotate = (): Promise<void> =>
    ensurePrekeys(log, keys, node, now()).catch((error: unknown) =>
      logger.error({ err: error }, 'prekeys were not rotated'),
    )
  closers.push(keepUp({ documents, sync, lastHeard, rotate, logger, log, node }))
  if (named !== undefined) await nameGiven(named, options.onlyRelay === true, { log, node, signKey, relays })
  sync.meet(log.mesh)
  await relays.meshChanged(log.mesh)
  await direct.start()
  await defaults.apply()
  failover.start()
  closers.push(reloadOnHangUp(config, defaults, logger))

  const snapshots = await Snapshots.load({
    home: home.path,
    configPath: home.config,
    store,
    diary: () => diary.sound.store,
    keys,
    node,
    incarnation: () => documents.incarnation,
    mesh: () => log.mesh,
    relay: () => relays.live(),
    isDaily: () => config.now.snapshots.vault === 'daily',
    meta,
    sodium,
    random,
    now,
    logger,
  })
  closers.push(() => snapshots.close())

  const { close, done } = closeOnce(closeAll)
  const handlers = handlersOf({
    ...withDoor,
    agents,
    home: home.path,
    startedAtMs,
    sync,
    relays,
    direct,
    presence,
    receipts,
    keys,
    meta,
    inviter,
    quarantine,
    copies,
    kitNote: await KitNote.load(meta),
    mergedLate: await MergedLate.load(meta),
    compaction,
    folders,
    lastHeard,
    config,
    defaults,
    scrubber,
    snapshots,
    drills,
    health,
    damage,
    index,
    feed,
    refusals,
    withholdings,
    forks,
    failover,
    journal: opened.journal,
    stop: () => void close(),
  })
  await agents.serve(handlers)
  const door = await serveDoor({ socketPath, methods, handlers, log: logger })
  closers.push(() => door.close())
  // What was lost with files shows in no entry that is left: everything is looked at, at once.
  const { rebuilt, fellBack } = sound.health
  if (rebuilt !== undefined || fellBack !== undefined || diary.sound.health.rebuilt !== undefined)
    scrubber.run().catch(failed)
  // Not waited for: what thousands of documents are shared with whom is worked out while the node is up.
  sync.meshChanged(log.mesh).then(
    () => void (damaged.length > 0 && sync.wantRecords()),
    (error: unknown) => logger.error({ err: error }, 'sharing could not be worked out'),
  )
  logger.info({ sodium: sodium.implementation, documents: documents.names().length }, 'node is up')
  return {
    handlers,
    close,
    done,
    info: { home: home.path, socketPath, node: formatId('node', node), mesh: formatId('mesh', meshId), firstRun },
  }
}

/** `--relay none`: a mesh that stays on this machine for now. */
const NO_RELAY = 'none'
