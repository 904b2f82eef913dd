import { equalBytes } from '@sealmesh/protocol/bytes'
import type { NodeId } from '@sealmesh/protocol/ids'
import { nodeIdOf } from '@sealmesh/protocol/membership/record-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodeTokenChain, encodeTokenChain, verifyTokenChain } from '@sealmesh/protocol/wire/token'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Meta } from '../store/meta.ts'
import { ownChain, TOKEN } from './identity.ts'

/**
 * A node that was made an admin finds in that record what lets it let others in. The shortest chain is kept, of equal
 * ones the latest: the fewer hands a right went through, the fewer removals end it.
 */
export async function adoptAdminToken(
  { log, keys, meta, sodium }: { log: LogKeeper; keys: KeyStore; meta: Meta; sodium: Sodium },
  node: NodeId,
  nowMs: number,
): Promise<void> {
  const { mesh } = log
  if (mesh.nodes.get(node)?.admin !== true) return
  const stored = await ownChain(meta)
  let best = stored
  for (const { body, hash } of mesh.records.values()) {
    if (body.type !== 'admit' || body.token.length === 0 || mesh.voided.has(hash)) continue
    if (nodeIdOf(body.node.signKey, body.node.foundingAgent.id, sodium) !== node) continue
    const chain = decodeTokenChain(body.token)
    const login = chain.ok ? verifyTokenChain(chain.value, mesh.id, nowMs, sodium) : chain
    if (!chain.ok || !login.ok || !equalBytes(login.value.loginKey, keys.login.publicKey)) continue
    if (login.value.adminKey === null || !equalBytes(login.value.adminKey, keys.sign.publicKey)) continue
    if (best.at(-1)?.adminKey == null || chain.value.length <= best.length) best = chain.value
  }
  if (best !== stored) await meta.writeBytes(TOKEN, encodeTokenChain(best))
}
