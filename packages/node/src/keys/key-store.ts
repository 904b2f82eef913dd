import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, SealPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import { SEED_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Argon2idCost } from '@sealmesh/sodium/argon2id'
import { diskFailure, errnoOf } from './disk-failure.ts'
import {
  destroyFile,
  finishDestroying,
  isHalfDestroyed,
  makePrivateDirectory,
  PRIVATE_DIRECTORY_MODE,
  syncDirectory,
} from './durable-file.ts'
import { damaged, type FileSeal, readSeed, writeSeed } from './key-file.ts'
import { FILE_KEY_BYTES, type FileKeys, isLocked, openLock, removeLock, writeLock } from './key-lock.ts'
import { refuseOtherOwner, refuseWideModes } from './modes.ts'
import { type KeyFolder, refuseUnsealable, rewriteKeys } from './rewrite-keys.ts'

/**
 * The private halves of one node (DESIGN §6), each in a file of its own with mode 0600, in folders with mode 0700:
 *
 *     keys/node-sign.key  node-login.key  founding-agent.key  root.key (founding node only)
 *     keys/agents/<public hex>.key     agents created here
 *     keys/prekeys/<public hex>.key    sealing keys; destroyed one by one when their time is over
 *     keys/passphrase.lock             only in a home whose keys a passphrase seals: `key-lock.ts`
 */
export interface KeyStoreDeps {
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  /** For tests; what a guess at a new passphrase costs. */
  readonly passphraseCost?: Argon2idCost
}

interface NodeKeys {
  readonly sign: KeyPair<SignPublicKey, 'sign'>
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly foundingAgent: KeyPair<SignPublicKey, 'agent'>
  readonly root: KeyPair<SignPublicKey, 'root'> | undefined
}

/** Seeds that a kit or a snapshot brought. */
export interface GivenKeys {
  readonly root: Uint8Array | false
  readonly agents: readonly Uint8Array[]
  /** Of the node itself, where it is to be the same one again. */
  readonly own?: { readonly sign: Uint8Array; readonly login: Uint8Array; readonly foundingAgent: Uint8Array }
}

const FILES = {
  sign: 'node-sign.key',
  login: 'node-login.key',
  foundingAgent: 'founding-agent.key',
  root: 'root.key',
} as const
const ROLES = { sign: 'sign', login: 'login', foundingAgent: 'agent', root: 'root' } as const
const AGENTS = 'agents'
const PREKEYS = 'prekeys'

type Sealing = FileSeal & KeyStoreDeps

export class KeyStore {
  readonly sign: KeyPair<SignPublicKey, 'sign'>
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly foundingAgent: KeyPair<SignPublicKey, 'agent'>
  readonly root: KeyPair<SignPublicKey, 'root'> | undefined
  /** What opens them follows from the login key. */
  readonly mailboxes: OwnMailboxes
  /** Of agents and prekeys, set aside when they were loaded: the node goes on without them. */
  readonly damagedFiles: string[] = []
  readonly #directory: string
  readonly #deps: KeyStoreDeps
  readonly #seal: Sealing | undefined
  readonly #agents = new Map<string, KeyPair<SignPublicKey, 'agent'>>()
  readonly #prekeys = new Map<string, KeyPair<SealPublicKey, 'seal'>>()

  private constructor(directory: string, deps: KeyStoreDeps, keys: NodeKeys, seal?: Sealing) {
    this.#directory = directory
    this.#deps = deps
    this.#seal = seal
    this.sign = keys.sign
    this.login = keys.login
    this.foundingAgent = keys.foundingAgent
    this.root = keys.root
    this.mailboxes = new OwnMailboxes(keys.login.secretKey, deps.sodium)
    this.#agents.set(toHex(keys.foundingAgent.publicKey), keys.foundingAgent)
  }

  /** Whether this home has an identity. A damaged one counts: `load` then says what is wrong. */
  static async exists(directory: string): Promise<boolean> {
    try {
      await lstat(directory)
      return true
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw diskFailure(error, `looking for keys in ${directory}`)
    }
  }

  /**
   * A new identity, with a root key only on the node that founds a mesh, or that brings one back together with the
   * keys of its agents. All files appear at once by the rename of their folder: a crash leaves a whole identity or
   * none. Call it under the home's lock.
   */
  static async create(
    directory: string,
    deps: KeyStoreDeps,
    options: { root: boolean } | GivenKeys,
  ): Promise<KeyStore> {
    if (await KeyStore.exists(directory))
      throw new Failure('ALREADY_JOINED', `There is a node's identity in ${directory} already.`)
    const draft = `${directory}.new`
    const { sodium } = deps
    try {
      await rm(draft, { recursive: true, force: true })
      await makePrivateDirectory(dirname(directory))
      for (const made of [draft, join(draft, AGENTS), join(draft, PREKEYS)])
        await mkdir(made, { mode: PRIVATE_DIRECTORY_MODE })
      const newKeys = async <Role extends 'sign' | 'login' | 'agent' | 'root'>(
        file: string,
        role: Role,
        given?: Uint8Array,
      ) => {
        const seed = given === undefined ? deps.random(SEED_BYTES) : Uint8Array.from(given)
        const keys = sodium.signKeys(role, seed)
        await writeSeed(join(draft, file), role, seed, keys.publicKey)
        seed.fill(0)
        return keys
      }
      const own = 'own' in options ? options.own : undefined
      const sign = await newKeys(FILES.sign, 'sign', own?.sign)
      const login = asLogin(await newKeys(FILES.login, 'login', own?.login))
      const foundingAgent = await newKeys(FILES.foundingAgent, 'agent', own?.foundingAgent)
      const given = typeof options.root === 'boolean' ? undefined : options.root
      const root = options.root === false ? undefined : await newKeys(FILES.root, 'root', given)
      const agents: KeyPair<SignPublicKey, 'agent'>[] = []
      for (const seed of 'agents' in options ? options.agents : []) {
        const { publicKey } = sodium.signKeys('agent', seed)
        agents.push(await newKeys(join(AGENTS, `${toHex(publicKey)}.key`), 'agent', seed))
      }
      await rename(draft, directory)
      await syncDirectory(dirname(directory))
      const store = new KeyStore(directory, deps, { sign, login, foundingAgent, root })
      for (const keys of agents) store.#agents.set(toHex(keys.publicKey), keys)
      return store
    } catch (error) {
      throw diskFailure(error, `creating keys in ${directory}`)
    }
  }

  /** Throws KEYS_LOCKED when there is a passphrase and none is given, PASSPHRASE_WRONG when it is another. */
  static async load(directory: string, deps: KeyStoreDeps, passphrase?: string): Promise<KeyStore> {
    for (const folder of [directory, join(directory, AGENTS), join(directory, PREKEYS)]) await checkFolder(folder)
    if (!(await isLocked(directory))) return KeyStore.#read(directory, deps, undefined)
    const found = await unlock(directory, deps.sodium, passphrase)
    const seal = { ...deps, key: found.key }
    // A crash may have come between the first file and the last.
    await rewriteKeys(foldersOf(directory), { ...deps, ...found }, seal)
    if (found.former !== undefined && passphrase !== undefined) await forgetFormer(directory, found, passphrase, deps)
    return KeyStore.#read(directory, deps, seal)
  }

  /** What has become of the files since: the paths of those that were set aside as damaged. */
  async lookAgain(): Promise<readonly string[]> {
    return (await KeyStore.#read(this.#directory, this.#deps, this.#seal)).damagedFiles
  }

  static async #read(directory: string, deps: KeyStoreDeps, seal: Sealing | undefined): Promise<KeyStore> {
    const { sodium } = deps
    const read = <Role extends 'sign' | 'login' | 'agent' | 'root'>(file: string, role: Role) =>
      readSeed(join(directory, file), role, (seed) => sodium.signKeys(role, seed), seal)
    const sign = await read(FILES.sign, 'sign')
    const login = asLogin(await read(FILES.login, 'login'))
    const foundingAgent = await read(FILES.foundingAgent, 'agent')
    // Only the founding node has one, and its owner may move it to the recovery kit.
    const root = (await readdir(directory)).includes(FILES.root) ? await read(FILES.root, 'root') : undefined
    const store = new KeyStore(directory, deps, { sign, login, foundingAgent, root }, seal)
    const lost = store.damagedFiles
    const signing = (seed: Uint8Array) => sodium.signKeys('agent', seed)
    await readFolder(join(directory, AGENTS), { role: 'agent', derive: signing, seal }, store.#agents, lost)
    const sealing = (seed: Uint8Array) => sodium.sealKeys(seed)
    await readFolder(join(directory, PREKEYS), { role: 'seal', derive: sealing, seal }, store.#prekeys, lost)
    return store
  }

  /**
   * Gives these keys a passphrase, or another one. Call it under the home's lock: whoever runs this home has the keys,
   * and writes new ones. A crash leaves a home that the passphrase opens, the next `load` going on where this stopped.
   */
  static async protect(directory: string, deps: KeyStoreDeps, passphrase: string, known?: string): Promise<void> {
    const isNew = !(await isLocked(directory))
    const before = isNew ? undefined : await unlock(directory, deps.sodium, known)
    const folders = foldersOf(directory)
    const key = deps.random(FILE_KEY_BYTES)
    await refuseUnsealable(folders, { ...deps, ...(before ?? { key }) })
    // A change that was cut off: no line has room for three keys.
    if (before?.former !== undefined) await rewriteKeys(folders, { ...deps, ...before }, { ...deps, key: before.key })
    const keys = before === undefined ? { key } : { key, former: before.key }
    await writeLock(directory, keys, passphrase, deps, deps.passphraseCost)
    await rewriteKeys(folders, { ...deps, ...keys }, { ...deps, key })
    if (before !== undefined) await forgetFormer(directory, keys, passphrase, deps)
    key.fill(0)
  }

  /** Puts all keys in clear again; the passphrase opens them until the last one is. Under the home's lock. */
  static async unprotect(directory: string, deps: KeyStoreDeps, passphrase: string): Promise<void> {
    const keys = await unlock(directory, deps.sodium, passphrase)
    await rewriteKeys(foldersOf(directory), { ...deps, ...keys }, undefined)
    await removeLock(directory)
    erase(keys)
  }

  /**
   * The seeds that a recovery kit takes along: of the root, and of agents, the founding one included. Secret, and the
   * caller's to erase. Throws ROOT_ELSEWHERE.
   */
  static async kitSeeds(
    directory: string,
    sodium: Sodium,
    passphrase?: string,
  ): Promise<{ root: Uint8Array; agents: Uint8Array[] }> {
    const seal = (await isLocked(directory)) ? { sodium, ...(await unlock(directory, sodium, passphrase)) } : undefined
    const seedIn = async (file: string, role: 'agent' | 'root'): Promise<Uint8Array> => {
      let kept = new Uint8Array()
      const derive = (seed: Uint8Array) => {
        kept = Uint8Array.from(seed)
        return sodium.signKeys(role, seed)
      }
      await readSeed(join(directory, file), role, derive, seal)
      return kept
    }
    if (!(await readdir(directory)).includes(FILES.root))
      throw new Failure('ROOT_ELSEWHERE', 'The root key of this mesh does not lie on this machine.')
    const root = await seedIn(FILES.root, 'root')
    const names = (await readdir(join(directory, AGENTS))).filter((name) => name.endsWith('.key')).toSorted()
    const agents = [await seedIn(FILES.foundingAgent, 'agent')]
    for (const name of names) agents.push(await seedIn(join(AGENTS, name), 'agent'))
    return { root, agents }
  }

  /** Of an agent that was created on this node. */
  agentKeys(agent: AgentId): KeyPair<SignPublicKey, 'agent'> | undefined {
    return this.#agents.get(agent)
  }

  /** Whose keys are here: the founding agent, agents created here, those of a recovery kit. */
  agents(): AgentId[] {
    return [...this.#agents.keys()] as AgentId[]
  }

  /** Durable when it resolves: sign nothing with it before. */
  async addAgent(): Promise<KeyPair<SignPublicKey, 'agent'>> {
    const seed = this.#deps.random(SEED_BYTES)
    const keys = this.#deps.sodium.signKeys('agent', seed)
    await writeSeed(this.#fileOf(AGENTS, keys.publicKey), 'agent', seed, keys.publicKey, this.#seal)
    seed.fill(0)
    this.#agents.set(toHex(keys.publicKey), keys)
    return keys
  }

  /** One that a snapshot brought. Durable when it resolves. */
  async adoptAgent(seed: Uint8Array): Promise<KeyPair<SignPublicKey, 'agent'>> {
    const keys = this.#deps.sodium.signKeys('agent', seed)
    await writeSeed(this.#fileOf(AGENTS, keys.publicKey), 'agent', seed, keys.publicKey, this.#seal)
    this.#agents.set(toHex(keys.publicKey), keys)
    return keys
  }

  /** All that can still open packets, in no order: the membership log knows their dates. */
  prekeys(): KeyPair<SealPublicKey, 'seal'>[] {
    return [...this.#prekeys.values()]
  }

  /** Durable when it resolves: announce its public half only then. */
  async addPrekey(): Promise<KeyPair<SealPublicKey, 'seal'>> {
    const seed = this.#deps.random(SEED_BYTES)
    const keys = this.#deps.sodium.sealKeys(seed)
    await writeSeed(this.#fileOf(PREKEYS, keys.publicKey), 'seal', seed, keys.publicKey, this.#seal)
    seed.fill(0)
    this.#prekeys.set(toHex(keys.publicKey), keys)
    return keys
  }

  /** What was sealed to it cannot be opened any more, by anyone. Unknown keys are no error. */
  async destroyPrekey(publicKey: SealPublicKey): Promise<void> {
    const keys = this.#prekeys.get(toHex(publicKey))
    if (keys === undefined) return
    this.#prekeys.delete(toHex(publicKey))
    const path = this.#fileOf(PREKEYS, publicKey)
    try {
      await destroyFile(path)
    } catch (error) {
      // A crash in an earlier try may have got as far as the removal.
      if (errnoOf(error) !== 'ENOENT') throw diskFailure(error, `destroying ${path}`)
    } finally {
      keys.secretKey.erase()
    }
  }

  #fileOf(folder: string, publicKey: Uint8Array): string {
    return join(this.#directory, folder, `${toHex(publicKey)}.key`)
  }
}

async function readFolder<Keys extends { publicKey: Uint8Array }>(
  folder: string,
  { role, derive, seal }: { role: 'agent' | 'seal'; derive: (seed: Uint8Array) => Keys; seal: FileSeal | undefined },
  into: Map<string, Keys>,
  lost: string[],
): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    // What a crash left: a key that nobody has relied on yet, and one that was being destroyed.
    if (name.endsWith('.key.new')) await destroyFile(path)
    else if (isHalfDestroyed(name)) await finishDestroying(path)
    else if (name.endsWith('.key')) {
      try {
        const keys = await readSeed(path, role, derive, seal)
        if (`${toHex(keys.publicKey)}.key` !== name) throw damaged(path, 'its name is that of another key')
        into.set(toHex(keys.publicKey), keys)
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== 'KEY_DAMAGED') throw error
        // A new prekey is made at once, and the holder of its term signs for an agent: no reason not to start.
        await rename(path, `${path}.damaged`)
        lost.push(path)
      }
    }
  }
}

async function unlock(directory: string, sodium: Sodium, passphrase: string | undefined): Promise<FileKeys> {
  if (passphrase === undefined) throw new Failure('KEYS_LOCKED', `The keys in ${directory} want their passphrase.`)
  return openLock(directory, passphrase, sodium)
}

/** All key files are sealed under the new key: the line is written again without the old one. */
async function forgetFormer(directory: string, keys: FileKeys, passphrase: string, deps: KeyStoreDeps): Promise<void> {
  await writeLock(directory, { key: keys.key }, passphrase, deps, deps.passphraseCost)
  keys.former?.fill(0)
}

const erase = ({ key, former }: FileKeys): void => {
  key.fill(0)
  former?.fill(0)
}

const foldersOf = (directory: string): KeyFolder[] => [
  { path: directory, roles: (Object.keys(FILES) as (keyof typeof FILES)[]).map((name) => [FILES[name], ROLES[name]]) },
  { path: join(directory, AGENTS), roles: [['', 'agent']] },
  { path: join(directory, PREKEYS), roles: [['', 'seal']], replaced: true },
]

async function checkFolder(folder: string): Promise<void> {
  try {
    const stats = await lstat(folder)
    if (!stats.isDirectory()) throw damaged(folder, 'it is not a folder')
    refuseOtherOwner(folder, stats)
    refuseWideModes(folder, stats)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw damaged(folder, 'it is missing', error)
    throw diskFailure(error, `reading the keys in ${folder}`)
  }
}

/** A login key signs like any other; its type says that it answers relays' challenges and nothing else. */
const asLogin = (keys: KeyPair<SignPublicKey, 'login'>): KeyPair<LoginPublicKey, 'login'> => ({
  publicKey: keys.publicKey as Uint8Array as LoginPublicKey,
  secretKey: keys.secretKey,
})
