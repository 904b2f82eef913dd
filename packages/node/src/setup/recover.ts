import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import { type AgentId, formatId, type NodeId } from '@sealmesh/protocol/ids'
import { nodeByName } from '@sealmesh/protocol/membership/access'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { recoveryKeysOf } from '@sealmesh/protocol/recovery/recovery-keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { encodeTokenChain, issueToken } from '@sealmesh/protocol/wire/token'
import { loadSodium } from '@sealmesh/sodium/load'
import type { Logger } from 'pino'
import { loadConfig } from '../config/load.ts'
import { type Home, prepareHome, resolveHome } from '../keys/home.ts'
import { lockHome } from '../keys/home-lock.ts'
import { KeyStore } from '../keys/key-store.ts'
import { openLog } from '../log.ts'
import { LogKeeper } from '../membership/log-keeper.ts'
import { fetchCopies } from '../recovery/fetch-copies.ts'
import { type FoundVault, type ImportedVault, importVaults, vaultsAt } from '../recovery/import-vaults.ts'
import type { Kit } from '../recovery/kit.ts'
import { readKit } from '../recovery/kit-file.ts'
import { openVaultLink } from '../recovery/recovery-link.ts'
import { Meta } from '../store/meta.ts'
import { openSoundStore } from '../store/open-store.ts'
import { RecordStore } from '../store/record-store.ts'
import type { Store } from '../store/store.ts'
import { linksFrom } from '../uplink/links-from.ts'
import type { openRelayLink, RelayLink } from '../uplink/relay-link.ts'
import { chooseName, identityOf, MEMBERSHIP, Membership, nodeIdFrom, nodeToken, TOKEN } from './identity.ts'

export interface RecoverOptions {
  readonly home: string
  readonly kit: string
  readonly passphrase: string
  readonly name?: string
  readonly claim?: string
  /** Machines whose snapshots in the vault are taken, by name; all of them when absent. */
  readonly from?: readonly string[]
  readonly onProgress: (text: string) => void
  readonly logLevel?: string
}

export interface Recovered {
  readonly node: string
  readonly mesh: string
  readonly meshName: string
  readonly name: string
  /** Agents that this machine speaks for again, and may carry. */
  readonly agents: string[]
  /** What came out of the vault, by machine. */
  readonly vaults: {
    name: string
    at: string | null
    documents: number
    /** Blocks that follow something which no snapshot has. */
    unplaced: number
    /** Blocks of authors that had no right to write there. */
    refused: number
    /** Why nothing of it could be used. */
    code: FailureCode | null
  }[]
  /** The other machines that the log names. */
  readonly members: { name: string; admin: boolean }[]
}

/** Relays may have moved since the kit was made; each one that the log then names is asked as well. */
const RELAYS_ASKED_MAX = 4

/**
 * Makes a fresh home an admin of a mesh by its recovery kit, when the machines that governed it are lost
 * (docs/spec/11-recovery.md §4). Keys are made once and kept over a failed try; the membership is written last.
 */
export async function recoverMesh(options: RecoverOptions): Promise<Recovered> {
  const home = resolveHome(options.home, process.env)
  const sodium = await loadSodium()
  if (options.name !== undefined) chooseName(options.name)
  options.onProgress('opening the kit')
  const kit = await readKit(options.kit, options.passphrase, sodium)
  await prepareHome(home)
  const open = linksFrom((await loadConfig(home.config)).network, process.env)
  const lock = await lockHome(home)
  const logger = openLog(home.log, options.logLevel)
  try {
    const { store, close } = await openSoundStore(home.db, {
      now: Date.now,
      monotonicMs: () => performance.now(),
      mirrored: true,
    })
    try {
      const meta = new Meta(store)
      if ((await meta.read(MEMBERSHIP, Membership)) !== undefined)
        throw new Failure('ALREADY_JOINED', `The home ${home.path} belongs to a mesh already.`)
      const keys = await keysFor(home.keys, kit, sodium)
      const { records, stored } = await RecordStore.load(store)
      const log = new LogKeeper({ log: new MembershipLog(kit.mesh, sodium), records, sodium, now: Date.now })
      await log.receive(kit.records)
      await log.receive(stored) // Of a try that did not come to its end.
      const relays = await askRelays(log, kit, keys, options, { sodium, logger, open })
      if (log.mesh.nodes.size === 0)
        throw new Failure('KIT_INVALID', 'Neither this kit nor a relay has the membership log.')
      const vaults = await takeVaults(relays, { store, log, keys, kit, options, sodium, logger, home, open })
      return await enter(log, keys, meta, kit, vaults, options, sodium)
    } finally {
      await close()
    }
  } finally {
    await lock.release()
    logger.flush()
  }
}

async function keysFor(directory: string, kit: Kit, sodium: Sodium): Promise<KeyStore> {
  const deps = { sodium, random: (bytes: number): Uint8Array => randomBytes(bytes) }
  if (!(await KeyStore.exists(directory)))
    return KeyStore.create(directory, deps, { root: kit.rootSeed, agents: kit.agents.map(({ seed }) => seed) })
  const keys = await KeyStore.load(directory, deps)
  if (keys.root === undefined || toHex(keys.root.publicKey) !== kit.mesh)
    throw new Failure('ALREADY_JOINED', `There are keys of something else in ${directory}.`)
  return keys
}

async function askRelays(
  log: LogKeeper,
  kit: Kit,
  keys: KeyStore,
  { claim, onProgress }: RecoverOptions,
  { sodium, logger, open }: { sodium: Sodium; logger: Logger; open: typeof openRelayLink },
): Promise<string[]> {
  const { root } = keys
  if (root === undefined) return []
  const asked = new Set<string>()
  const answered: string[] = []
  let failure: unknown
  for (;;) {
    // What the log names now goes before what it named when the kit was made.
    const known = [...log.mesh.relays.map((relay) => relay.address), ...kit.relays]
    const address = known.find((each) => !asked.has(each))
    if (address === undefined || asked.size >= RELAYS_ASKED_MAX) break
    asked.add(address)
    onProgress('asking the relay for the membership log')
    try {
      const given = claim === undefined ? {} : { claim }
      const copies = await fetchCopies({ address, mesh: kit.mesh, root, sodium, open, log: logger, ...given })
      const { added } = await log.receive(copies)
      onProgress(`${added} records that the kit had not`)
      answered.push(address)
    } catch (error) {
      failure = error
    }
  }
  if (answered.length > 0 || asked.size === 0) return answered
  if (failure instanceof Failure && failure.code === 'MESH_NOT_ADMITTED')
    throw new Failure('CLAIM_REQUIRED', 'The relay has forgotten this mesh.', {
      cause: failure,
      next: 'sealmesh recover KIT --claim CODE, with a code that sealmesh-relay claim prints',
    })
  throw failure
}

/** Documents of machines that are gone, out of what they left at these relays. */
async function takeVaults(
  relays: readonly string[],
  {
    store,
    log,
    keys,
    kit,
    options: { claim, from, onProgress },
    sodium,
    logger,
    home,
    open,
  }: {
    store: Store
    log: LogKeeper
    keys: KeyStore
    kit: Kit
    options: RecoverOptions
    sodium: Sodium
    logger: Logger
    home: Home
    open: typeof openRelayLink
  },
): Promise<ImportedVault[]> {
  const { root } = keys
  if (root === undefined) return []
  const links: RelayLink[] = []
  try {
    const found: FoundVault[] = []
    for (const address of relays) {
      const given = claim === undefined ? {} : { claim }
      links.push(await openVaultLink({ address, mesh: kit.mesh, root, sodium, open, log: logger, ...given }))
      found.push(...(await vaultsAt(links.at(-1)!, { log, sodium })))
    }
    const named = (node: NodeId): boolean => from?.includes(log.mesh.nodes.get(node)?.name ?? '') ?? true
    for (const name of from ?? [])
      if (nodeByName(log.mesh, name) === undefined)
        throw new Failure('NODE_UNKNOWN', `No machine of this mesh is called ${name}.`)
    const { seal } = recoveryKeysOf(root.secretKey, sodium)
    const cachePath = join(home.path, 'vault-chunks')
    const node = nodeIdFrom(keys, sodium)
    const deps = { store, log, keys, node, seal, sodium, logger, cachePath, onProgress }
    return await importVaults(
      found.filter((each) => named(each.node)),
      deps,
    )
  } finally {
    for (const link of links) await link.close()
  }
}

async function enter(
  log: LogKeeper,
  keys: KeyStore,
  meta: Meta,
  kit: Kit,
  vaults: readonly ImportedVault[],
  options: RecoverOptions,
  sodium: Sodium,
): Promise<Recovered> {
  const { root } = keys
  const node = nodeIdFrom(keys, sodium)
  if (root === undefined) throw new Failure('KIT_INVALID', 'This kit holds no root key.')
  const name = log.mesh.nodes.get(node)?.name ?? freeName(log.mesh, options.name)
  const identity = identityOf(keys, { node: name, agent: name })
  const token = encodeTokenChain([
    issueToken(nodeToken(kit.mesh, identity, identity.signKey), 'root', root.secretKey, sodium),
  ])
  if (!log.mesh.nodes.has(node))
    await log.append({ type: 'admit', node: identity, admin: true, token }, { type: 'root' }, root.secretKey)
  const ids = new Set([...kit.agents.map(({ id }) => id), ...vaults.flatMap(({ agents }) => agents)])
  const agents = [...ids].filter((id) => keys.agentKeys(id) !== undefined)
  for (const id of agents) await hostHere(log, keys, id, node)
  await meta.writeBytes(TOKEN, token)
  await meta.write(MEMBERSHIP, Membership, { mesh: kit.mesh, node: name, agent: name })
  const { mesh } = log
  return {
    node: formatId('node', node),
    mesh: formatId('mesh', kit.mesh),
    meshName: mesh.name,
    name,
    agents: agents.flatMap((id) => mesh.agents.get(id)?.name ?? []),
    vaults: vaults.map(({ node: from, atMs, documents, unplaced, refused, code }) => ({
      name: mesh.nodes.get(from)?.name ?? from.slice(0, 8),
      at: atMs === null ? null : new Date(atMs).toISOString(),
      documents,
      unplaced,
      refused,
      code,
    })),
    members: [...mesh.nodes.values()]
      .filter(({ id, revocations }) => id !== node && revocations.length === 0)
      .map((each) => ({ name: each.name, admin: each.admin })),
  }
}

/** By the agent's own key, which the kit has: nobody else need agree that it may live here. */
async function hostHere(log: LogKeeper, keys: KeyStore, agent: AgentId, node: NodeId): Promise<void> {
  const key = keys.agentKeys(agent)
  const known = log.mesh.agents.get(agent)
  if (key === undefined || known === undefined || known.hosts.includes(node)) return
  const nodes = [...known.hosts, node]
  await log.append(
    { type: 'host', agent, name: known.name, nodes, delegate: true, cuts: [] },
    { type: 'agent', agent },
    key.secretKey,
  )
}

/** The lost machine keeps its name until it is removed, and must not be taken for this one. */
function freeName(mesh: Mesh, wanted: string | undefined): string {
  const isTaken = (name: string): boolean => nodeByName(mesh, name)?.revocations.length === 0
  const name = chooseName(wanted)
  if (!isTaken(name)) return name
  if (wanted !== undefined)
    throw new Failure('NAME_TAKEN', `A machine of this mesh is called ${name}, and it may be the lost one.`, {
      next: 'choose another: --name NAME',
    })
  let number = 2
  while (isTaken(`${name.slice(0, 60)}-${number}`)) number++
  return `${name.slice(0, 60)}-${number}`
}
