import { z } from 'zod'
import { Iso, Nothing } from './shapes.ts'

const Kept = z.object({ at: Iso, bytes: z.number().int() }).nullable()

const SnapshotState = z.object({
  /** How far the one is that is being made. */
  running: z.object({ to: z.enum(['file', 'vault']), bytes: z.number().int(), chunks: z.number().int() }).nullable(),
  /** Of the last that this process made. */
  made: z
    .object({
      path: z.string().nullable(),
      entries: z.number().int(),
      /** Before it was compressed. */
      bytes: z.number().int(),
      chunks: z.number().int(),
      /** What was not there from an earlier one. */
      sentChunks: z.number().int(),
      sentBytes: z.number().int(),
      /** Entries of the database that are damaged, and not in it. */
      damaged: z.number().int(),
    })
    .nullable(),
  failure: z.object({ code: z.string(), message: z.string(), next: z.string() }).nullable(),
  /** The last that were made, here or before the last restart. */
  vault: Kept,
  file: Kept,
})

/** Sealed images of this home, in files and in the relay's vault. */
export const snapshotMethods = {
  /** Begins one and answers at once. Without a path and a vault: in the home. */
  'snapshot.start': {
    params: z.object({
      path: z.string().max(4_096).nullable().default(null),
      vault: z.boolean().default(false),
      withDiary: z.boolean().default(false),
    }),
    result: SnapshotState,
  },
  'snapshot.status': { params: Nothing, result: SnapshotState },
  'snapshot.ls': {
    params: Nothing,
    result: z.object({
      directory: z.string(),
      files: z.array(
        z.object({
          path: z.string(),
          bytes: z.number().int(),
          at: Iso.nullable(),
          diary: z.boolean(),
          /** Why it cannot be used here. */
          code: z.string().nullable(),
        }),
      ),
      vaults: z.array(
        z.object({
          /** Null for a login that is of no node of the log. */
          node: z.string().nullable(),
          snapshots: z.array(
            z.object({ number: z.number().int(), at: Iso, chunks: z.number().int(), bytes: z.number().int() }),
          ),
        }),
      ),
      /** Why the relay did not say. */
      vaultFailure: z.string().nullable(),
    }),
  },
} as const
