import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { MailboxId, MeshId } from '@sealmesh/protocol/ids'
import type { LoginPublicKey } from '@sealmesh/protocol/keys'
import { z } from 'zod'
import type { LoginRecord } from '../core/state.ts'

const Hex32 = z.string().regex(/^[0-9a-f]{64}$/)
const Stored = z.object({
  mesh: Hex32,
  loginKey: Hex32,
  kind: z.enum(['node', 'invite']),
  onlyTo: Hex32.nullable(),
  expiresMs: z.number().int().nonnegative(),
  adminKey: Hex32.nullable(),
  through: z.array(Hex32).max(8),
})

export const recordToJson = (record: LoginRecord): string =>
  JSON.stringify({
    ...record,
    loginKey: toHex(record.loginKey),
    through: [...record.through],
  } satisfies z.infer<typeof Stored>)

/** Undefined for what we did not write. */
export function recordFromJson(text: string): LoginRecord | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  const stored = Stored.safeParse(json)
  if (!stored.success) return undefined
  const { mesh, loginKey, onlyTo, ...rest } = stored.data
  return {
    ...rest,
    mesh: mesh as MeshId,
    loginKey: fromHex(loginKey) as LoginPublicKey,
    onlyTo: onlyTo as MailboxId | null,
  }
}
