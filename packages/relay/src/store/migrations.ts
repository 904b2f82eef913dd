import { fromHex, isHex } from '@sealmesh/protocol/bytes'
import type { LoginPublicKey } from '@sealmesh/protocol/keys'
import type { MeshId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { z } from 'zod'
import { type KeyName, keyName } from '../core/key-name.ts'
import { GENERATION_KEY, idOf, loginKey, revokedKey, STORE_FORMAT, under, VERSION_KEY } from './keys.ts'
import { recordToJson } from './login-record.ts'
import type { Database } from './store.ts'

/** One step from a format to the next, in one atomic batch: a crash leaves the old format or the new one. */
export interface Migration {
  readonly from: string
  readonly to: string
  run(db: Database, sodium: Sodium): Promise<Batch>
}

type Batch = ReturnType<Database['batch']>

/** Oldest first. Each new format adds a step here and a fixture to its test. */
export const MIGRATIONS: readonly Migration[] = [{ from: '1', to: '2', run: toMailboxesOfDays }]

/** Brings a database of an older format to this one. False, and nothing is changed, when no step begins there. */
export async function migrate(db: Database, format: string, sodium: Sodium): Promise<boolean> {
  for (let now = format; now !== STORE_FORMAT; ) {
    const step = MIGRATIONS.find(({ from }) => from === now)
    if (step === undefined) return false
    const batch = await step.run(db, sodium)
    await batch.put(VERSION_KEY, Buffer.from(step.to)).write({ sync: true })
    now = step.to
  }
  return true
}

const Hex32 = z.string().regex(/^[0-9a-f]{64}$/)
const FirstLogin = z.object({
  mesh: Hex32,
  loginKey: Hex32,
  kind: z.enum(['node', 'invite']),
  expiresMs: z.number().int().nonnegative(),
  adminKey: Hex32.nullable(),
  through: z.array(Hex32).max(8),
})

/**
 * Format 1 had one mailbox for each login, under its own id; its packets are of a wire that no node speaks any more. They
 * go, and with them the generation, so that every node brings again what is missing. Admitted meshes, spent codes,
 * logins and removed keys stay; keys are hashed from format 2 on. Invites end within minutes and are left out.
 */
async function toMailboxesOfDays(db: Database, sodium: Sodium): Promise<Batch> {
  const batch = db.batch()
  const named = (hex: string): KeyName => keyName(fromHex(hex) as LoginPublicKey, sodium)
  batch.del(GENERATION_KEY)
  for (const letter of ['x', 'i', 'p']) for await (const key of db.keys(under(letter))) batch.del(key)
  for await (const key of db.keys(under('r'))) {
    batch.del(key)
    const hex = key.subarray(34).toString('hex')
    if (isHex(hex, 32)) batch.put(revokedKey(idOf(key) as MeshId, key[33] === 0 ? 'login' : 'admin', named(hex)), EMPTY)
  }
  for await (const [key, value] of db.iterator(under('l'))) {
    batch.del(key)
    const login = FirstLogin.safeParse(jsonOf(value))
    if (!login.success || login.data.kind === 'invite') continue
    const { mesh, expiresMs, adminKey, through, loginKey: own } = login.data
    const record = {
      mesh: mesh as MeshId,
      kind: 'node',
      onlyTo: null,
      expiresMs,
      admin: adminKey === null ? null : named(adminKey),
      through: through.map(named),
    } as const
    batch.put(loginKey(named(own)), Buffer.from(recordToJson(record)))
  }
  return batch
}

function jsonOf(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString())
  } catch {
    return undefined
  }
}

const EMPTY = Buffer.alloc(0)
