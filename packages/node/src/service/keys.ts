import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { formatId } from '@sealmesh/protocol/ids'
import type { Handlers } from '../ipc/door.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogCopies } from '../recovery/log-copies.ts'
import type { KitNote } from '../recovery/kit-note.ts'
import { newPrekey } from '../setup/identity.ts'
import { agentName, iso, type ServiceContext } from './context.ts'

/** Keys of this machine, by their public halves, and what a recovery kit needs to know. No secret passes the socket. */
export function keyHandlers(
  context: ServiceContext & { readonly keys: KeyStore; readonly copies: LogCopies; readonly kitNote: KitNote },
): Pick<Handlers, 'key.show' | 'key.rotate' | 'kit.draft' | 'kit.kept'> {
  const { keys, log, node, kitNote } = context
  return {
    'key.show': () => {
      const { mesh } = log
      const self = mesh.nodes.get(node)
      const held = new Set(keys.prekeys().map(({ publicKey }) => toHex(publicKey)))
      return {
        mesh: formatId('mesh', mesh.id),
        node: formatId('node', node),
        admin: self?.admin === true,
        root: keys.root !== undefined,
        signKey: toHex(keys.sign.publicKey),
        loginKey: toHex(keys.login.publicKey),
        agents: keys.agents().map((agent) => ({ agent: formatId('agent', agent), name: agentName(mesh, agent) })),
        prekeys: (self?.prekeys ?? []).map(({ publicKey, notBeforeMs, expiresMs }) => ({
          publicKey: toHex(publicKey),
          notBefore: iso(notBeforeMs),
          expires: iso(expiresMs),
          held: held.has(toHex(publicKey)),
        })),
        kit:
          kitNote.made === null
            ? null
            : {
                madeAt: kitNote.made.madeAt,
                missing: kitNote.missing(keys.agents()).map((agent) => agentName(mesh, agent)),
              },
        logCopied: context.copies.isUpToDate,
      }
    },

    'key.rotate': async () => {
      const self = log.mesh.nodes.get(node)
      if (self === undefined || self.revocations.length > 0)
        throw new Failure('NODE_REVOKED', 'This node was removed: nobody seals to its keys any more.')
      const { publicKey, expiresMs, record } = await newPrekey(log, keys, node, context.now())
      return { publicKey: toHex(publicKey), expires: iso(expiresMs), record: record.hash }
    },

    'kit.draft': () => {
      if (keys.root === undefined)
        throw new Failure('ROOT_ELSEWHERE', 'The root key of this mesh does not lie on this machine.')
      const { mesh } = log
      return {
        mesh: mesh.id,
        meshName: mesh.name,
        relays: mesh.relays.map(({ address }) => address),
        agents: keys.agents().map((id) => ({ id, name: agentName(mesh, id) })),
        records: log.after([]).map(({ bytes }) => Buffer.from(bytes).toString('base64')),
      }
    },

    'kit.kept': async ({ madeAt, agents }) => {
      await kitNote.kept({ madeAt, agents })
      return {}
    },
  }
}
