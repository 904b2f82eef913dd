import { createHash, timingSafeEqual } from 'node:crypto'
import { fromHex, fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import type { AgentId } from '@sealmesh/protocol/ids'
import { Right } from '@sealmesh/protocol/ipc/agent-methods'
import { toBase64Url } from '@sealmesh/protocol/pairing/base64url'
import { z } from 'zod'
import { afterPrefix, agentOfKey, agentTokenKey, TABLES, tablePrefix } from '../store/keys.ts'
import type { Store } from '../store/store.ts'

const TOKEN_BYTES = 32 // Nobody guesses it, so a plain hash of it gives nothing away.
/** Says what it is to whoever finds one in a file. */
const PREFIX = 'smagent_'

const Kept = z.object({ hash: z.hex().length(64), rights: z.array(Right), madeAtMs: z.number() })
/** What this node knows of one agent's token: never the token itself. */
export type KeptToken = z.infer<typeof Kept>

/** Who may attach here, by the hash of what they must show. One token for each agent. */
export class Tokens {
  readonly #store: Store
  readonly #kept: Map<AgentId, KeptToken>
  readonly #byHash = new Map<string, AgentId>()

  private constructor(store: Store, kept: Map<AgentId, KeptToken>) {
    this.#store = store
    this.#kept = kept
    for (const [agent, { hash }] of kept) this.#byHash.set(hash, agent)
  }

  /** An entry that is damaged is left out: its owner makes another. */
  static async load(store: Store): Promise<Tokens> {
    const prefix = tablePrefix(TABLES.agentToken)
    const kept = new Map<AgentId, KeptToken>()
    for await (const { key, value } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const parsed = value === undefined ? undefined : Kept.safeParse(JSON.parse(fromUtf8(value))).data
      if (parsed !== undefined) kept.set(agentOfKey(key), parsed)
    }
    return new Tokens(store, kept)
  }

  get all(): ReadonlyMap<AgentId, KeptToken> {
    return this.#kept
  }

  /** Shown once, here. What the agent had before is worth nothing from now on. */
  async make(agent: AgentId, rights: readonly Right[], random: (bytes: number) => Uint8Array, nowMs: number) {
    const token = PREFIX + toBase64Url(random(TOKEN_BYTES))
    const kept: KeptToken = { hash: hashOf(token), rights: [...rights], madeAtMs: nowMs }
    await this.#store.commit([{ type: 'put', key: agentTokenKey(agent), value: utf8(JSON.stringify(kept)) }])
    this.#forget(agent)
    this.#kept.set(agent, kept)
    this.#byHash.set(kept.hash, agent)
    return token
  }

  /** Whether there was one. */
  async revoke(agent: AgentId): Promise<boolean> {
    if (!this.#kept.has(agent)) return false
    // From now on, whether or not the disk takes it: nobody should attach with it meanwhile.
    this.#forget(agent)
    await this.#store.commit([{ type: 'delete', key: agentTokenKey(agent) }])
    return true
  }

  /** Whose token this is. */
  check(token: string): { readonly agent: AgentId; readonly rights: readonly Right[] } | undefined {
    const hash = hashOf(token)
    const agent = this.#byHash.get(hash)
    const kept = agent === undefined ? undefined : this.#kept.get(agent)
    // A map may stop comparing at the first difference; of a hash that tells nothing that could be used.
    if (agent === undefined || kept === undefined || !timingSafeEqual(fromHex(kept.hash), fromHex(hash)))
      return undefined
    return { agent, rights: kept.rights }
  }

  #forget(agent: AgentId): void {
    const old = this.#kept.get(agent)
    if (old !== undefined) this.#byHash.delete(old.hash)
    this.#kept.delete(agent)
  }
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex')
