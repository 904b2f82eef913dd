import { Failure } from '@sealmesh/protocol/errors'
import { formatId, isName, type RelayId } from '@sealmesh/protocol/ids'
import { livePrekey, nodeByName } from '@sealmesh/protocol/membership/access'
import type { MeshNode } from '@sealmesh/protocol/membership/mesh'
import { assert } from '@sealmesh/protocol/result'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import type { Handlers } from '../ipc/door.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { ownChain, tokenForNode } from '../setup/identity.ts'
import type { LastHeard } from '../status/last-heard.ts'
import type { Meta } from '../store/meta.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { Relays } from '../uplink/relays.ts'
import { cutsOf, iso, memberNamed, nodeNamed, type ServiceContext } from './context.ts'

type Telling = ServiceContext & { readonly meta: Meta; readonly relays: Relays }

interface Context extends Telling {
  readonly keys: KeyStore
  readonly lastHeard: LastHeard
  readonly sync: Pick<MeshSync, 'heard'>
}

/** The machines of the mesh: who there is, what each is called, who governs, who is removed. */
export function deviceHandlers(
  context: Context,
): Pick<Handlers, 'device.ls' | 'device.rename' | 'device.promote' | 'device.revoke'> {
  return {
    'device.ls': () => {
      const heard = new Map(context.sync.heard().map(({ node, atMs }) => [node, atMs]))
      return {
        devices: [...context.log.mesh.nodes.values()]
          .map((node) => deviceOf(context, node, heard.get(node.id) ?? context.lastHeard.of(node.id)))
          .toSorted((a, b) => Number(b.here) - Number(a.here) || (a.name < b.name ? -1 : 1)),
      }
    },

    'device.rename': async ({ node: named, name }) => {
      const { mesh } = context.log
      const node = memberNamed(mesh, named)
      if (!isName(name)) throw new Failure('NAME_INVALID', `"${name.slice(0, 64)}" is not a node's name.`)
      if (node.id !== context.node) requireAdmin(context, 'Only an admin node gives others a name.')
      const other = nodeByName(mesh, name)
      if (other !== undefined && other.id !== node.id && other.revocations.length === 0)
        throw new Failure('NAME_TAKEN', `Another machine of this mesh is called ${name}.`)
      const record = await append(context, { type: 'rename', node: node.id, name })
      return { node: name, was: node.name, record: record.hash }
    },

    'device.promote': async ({ node: named }) => {
      const { mesh } = context.log
      const node = memberNamed(mesh, named)
      requireAdmin(context, 'Only an admin node makes others one.')
      const admission = mesh.records.get(node.admittedBy)?.body
      assert(admission?.type === 'admit' || admission?.type === 'found', 'a member was let in by a record')
      // As it was first called: whoever admits again may change nothing else.
      const identity = admission.node
      const token = await tokenForNode(context.meta, context.keys, mesh.id, identity, true, context.sodium)
      const record = await append(context, { type: 'admit', node: identity, admin: true, token })
      return { node: node.name, record: record.hash }
    },

    'device.revoke': async ({ node: named, reason }) => {
      const node = nodeNamed(context.log.mesh, named)
      requireAdmin(context, 'Only an admin node removes others.')
      const cuts = await cutsOf(context, context.documents.names(), [node.id])
      const record = await append(context, { type: 'revoke', node: node.id, reason, cuts })
      return { node: node.name, record: record.hash, relayTold: await tellRelayOfRevoked(context, { nodes: [node] }) }
    },
  }
}

/**
 * Called for a new removal, at every relay, and for all of them whenever one is reached: it may have been away, wiped
 * or restored. Nodes obey the log meanwhile; what the relay adds is that a removed node cannot even connect. Never rejects.
 */
export async function tellRelayOfRevoked(
  context: Telling,
  only: { readonly nodes?: readonly MeshNode[]; readonly relay?: RelayId },
): Promise<boolean> {
  const { mesh } = context.log
  const nodes = only.nodes ?? [...mesh.nodes.values()].filter((node) => node.revocations.length > 0)
  if (mesh.nodes.get(context.node)?.admin !== true) return false
  try {
    const chain = await ownChain(context.meta)
    for (const { loginKey, signKey, admin } of nodes) {
      const draft = { mesh: mesh.id, loginKey, adminKey: admin ? signKey : null, chain }
      await context.relays.revoke(signRevocation(draft, context.signKey, context.sodium), only.relay)
    }
    return true
  } catch (error) {
    context.logger.warn({ err: error }, 'a relay was not told of a removal: it is told when it is reached again')
    return false
  }
}

function deviceOf({ node: self, log, now }: Context, node: MeshNode, heardAtMs: number | null) {
  const prekey = livePrekey(node, now())
  const state = node.revocations.length > 0 ? 'removed' : node.lapsed ? 'lapsed' : 'member'
  return {
    node: formatId('node', node.id),
    name: node.name,
    here: node.id === self,
    admin: node.admin,
    state,
    prekeyExpiresAt: prekey === undefined ? null : iso(prekey.expiresMs),
    lastHeardAt: heardAtMs === null ? null : iso(heardAtMs),
    hosts: [...log.mesh.agents.values()].filter(({ hosts }) => hosts.includes(node.id)).map(({ name }) => name),
  } as const
}

function requireAdmin({ log, node }: Context, why: string): void {
  if (log.mesh.nodes.get(node)?.admin !== true) throw new Failure('NOT_ADMIN', why)
}

const append = (context: Context, body: Parameters<ServiceContext['log']['append']>[0]) =>
  context.log.append(body, { type: 'node', node: context.node }, context.signKey)
