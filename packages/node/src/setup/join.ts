import { randomBytes } from 'node:crypto'
import { Failure } from '@sealmesh/protocol/errors'
import { formatId } from '@sealmesh/protocol/ids'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import { parseLink } from '@sealmesh/protocol/pairing/link'
import type { PairingCode } from '@sealmesh/protocol/pairing/code'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { loadRistretto } from '@sealmesh/sodium/ristretto'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { prepareHome, resolveHome } from '../keys/home.ts'
import { lockHome } from '../keys/home-lock.ts'
import { KeyStore } from '../keys/key-store.ts'
import { openLog } from '../log.ts'
import { LogKeeper } from '../membership/log-keeper.ts'
import { fetchLinkByCode } from '../pairing/code-guest.ts'
import { linkMessage, refusalMessage } from '../pairing/failure-message.ts'
import { linksFrom } from '../uplink/links-from.ts'
import { loadConfig } from '../config/load.ts'
import { joinByLink } from '../pairing/joiner-driver.ts'
import { Meta } from '../store/meta.ts'
import { RecordStore } from '../store/record-store.ts'
import { openSoundStore } from '../store/open-store.ts'
import { chooseName, identityOf, MEMBERSHIP, Membership, nodeIdFrom, TOKEN } from './identity.ts'

export interface JoinOptions {
  readonly home: string
  /** A link, or the code that fetches one from the relay. */
  readonly given: string | { readonly code: PairingCode; readonly relay: RelayAddress }
  readonly name?: string
  /** Of keys that an earlier try left, and that were given one since. */
  readonly passphrase?: string
  readonly onWords: (words: string[]) => void
  readonly onProgress: (text: string) => void
  readonly logLevel?: string
}

/** Refuses a link that cannot be one, or that has expired. */
function checkLink(text: string, sodium: Sodium): void {
  const link = parseLink(text, sodium)
  if (!link.ok) throw new Failure('LINK_INVALID', linkMessage(link.error.why))
  link.value.secret.erase()
  if (Date.now() >= link.value.expiresMs) throw new Failure('LINK_EXPIRED', refusalMessage('LINK_EXPIRED', 'joiner'))
}

/**
 * Brings a fresh home into a mesh by a pairing link. Keys are made once and kept over a failed try; the membership is
 * written last, so that a home that was cut off half-way is joined again instead of half used.
 */
export async function joinMesh(
  options: JoinOptions,
): Promise<{ node: string; mesh: string; meshName: string; agents: string[] }> {
  const home = resolveHome(options.home, process.env)
  const sodium = await loadSodium()
  // Before anything is made or asked: a slip of the hand must leave no home behind.
  if (typeof options.given === 'string') checkLink(options.given, sodium)
  const name = chooseName(options.name)
  await prepareHome(home)
  const open = linksFrom((await loadConfig(home.config)).network, process.env)
  const lock = await lockHome(home)
  const logger = openLog(home.log, options.logLevel)
  try {
    const random = (bytes: number): Uint8Array => randomBytes(bytes)
    const { store, close } = await openSoundStore(home.db, {
      now: Date.now,
      monotonicMs: () => performance.now(),
      mirrored: true,
    })
    try {
      const meta = new Meta(store)
      if ((await meta.read(MEMBERSHIP, Membership)) !== undefined)
        throw new Failure('ALREADY_JOINED', `The home ${home.path} belongs to a mesh already.`)
      const deps = { sodium, random }
      const keys = (await KeyStore.exists(home.keys))
        ? await KeyStore.load(home.keys, deps, options.passphrase)
        : await KeyStore.create(home.keys, deps, { root: false })
      if (keys.root !== undefined)
        throw new Failure('ALREADY_JOINED', `The home ${home.path} has begun to found a mesh of its own.`)
      const identity = identityOf(keys, { node: name, agent: name })
      options.onProgress('asking the other machine')
      const link =
        typeof options.given === 'string'
          ? options.given
          : await fetchLinkByCode({
              ...options.given,
              sodium,
              ristretto: await loadRistretto(),
              random,
              now: Date.now,
              log: logger,
              open,
            })
      // Of its own, for the canary: the node announces another when it starts.
      const prekey = keys.prekeys()[0] ?? (await keys.addPrekey())
      const joined = await joinByLink({
        link,
        identity,
        keys: { sign: keys.sign, login: keys.login, prekey },
        sodium,
        random,
        log: logger,
        now: Date.now,
        onWords: options.onWords,
        open,
      })
      const { records } = await RecordStore.load(store)
      const log = new LogKeeper({ log: new MembershipLog(joined.mesh, sodium), records, sodium, now: Date.now })
      await log.receive(joined.records)
      const node = nodeIdFrom(keys, sodium)
      if (!log.mesh.nodes.has(node))
        throw new Failure('PAIRING_REFUSED', 'The other machine sent a membership log that does not admit this node.')
      await keys.destroyPrekey(prekey.publicKey)
      await meta.writeBytes(TOKEN, joined.token)
      await meta.write(MEMBERSHIP, Membership, { mesh: joined.mesh, node: name, agent: name })
      const agents = [...log.mesh.agents.values()].map((agent) => agent.name)
      return { node: formatId('node', node), mesh: formatId('mesh', joined.mesh), meshName: log.mesh.name, agents }
    } finally {
      await close()
    }
  } finally {
    await lock.release()
    logger.flush()
  }
}
