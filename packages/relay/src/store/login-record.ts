import type { MailboxId, MeshId } from '@sealmesh/protocol/ids'
import { z } from 'zod'
import type { KeyName } from '../core/key-name.ts'
import type { LoginRecord } from '../core/state.ts'

const Hex32 = z.string().regex(/^[0-9a-f]{64}$/)
const Stored = z.object({
  mesh: Hex32,
  kind: z.enum(['node', 'invite']),
  onlyTo: Hex32.nullable(),
  expiresMs: z.number().int().nonnegative(),
  admin: Hex32.nullable(),
  through: z.array(Hex32).max(8),
})

export const recordToJson = (record: LoginRecord): string =>
  JSON.stringify({ ...record, through: [...record.through] } satisfies z.infer<typeof Stored>)

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
  const { mesh, onlyTo, admin, through, ...rest } = stored.data
  return {
    ...rest,
    mesh: mesh as MeshId,
    onlyTo: onlyTo as MailboxId | null,
    admin: admin as KeyName | null,
    through: through as KeyName[],
  }
}
