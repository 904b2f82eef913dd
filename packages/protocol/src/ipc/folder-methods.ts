import { z } from 'zod'
import { Iso, Name } from './shapes.ts'

const Nothing = z.object({})

/** A mirrored folder, by agent, AGENT.LAYER or its path. */
const FolderName = z.string().min(1).max(4_096)
const FilePath = z.string().min(1).max(1_024)
const FolderView = z.object({
  agent: z.string(),
  layer: z.string(),
  path: z.string(),
  /** `missing`: the folder is not there. `failing`: `failure` says why. */
  state: z.enum(['in step', 'working', 'held', 'missing', 'failing']),
  failure: z.object({ code: z.string(), message: z.string(), next: z.string() }).nullable(),
  /** False where the system gave out of watches: then it looks every two seconds. */
  watched: z.boolean(),
  files: z.number().int(),
  bytes: z.number().int(),
  /** Deletions that wait for a person's word: made here, or made elsewhere. */
  held: z.object({ here: z.number().int(), elsewhere: z.number().int() }),
  refused: z.number().int(),
  pending: z.number().int(),
  allowed: z.array(z.string()),
  /** Other machines that get it. */
  sharedWith: z.array(z.string()),
  /** The machine that may share it; null where that is this one. */
  holder: z.string().nullable(),
})
const FolderIssue = z.object({
  path: z.string(),
  type: z.enum(['refused', 'held', 'pending']),
  /** `out`: from this disk; `in`: from another machine. */
  direction: z.enum(['out', 'in']),
  code: z.string(),
  because: z.string(),
  next: z.string(),
})
/** Content of a file that came from another machine. */
const FolderArrival = z.object({ path: z.string(), nodeName: z.string(), at: Iso })

/** Folders that the node mirrors: part of `methods`. */
export const folderMethods = {
  /** Mirrors a folder of this machine; adding it again allows more paths. Answered when it has been looked at once. */
  'folder.add': {
    params: z.object({
      agent: Name,
      layer: Name.default('files'),
      path: z.string().min(1).max(4_096),
      allow: z.array(FilePath).max(64).default([]),
      /** Says that a layer of a name that is close to another's is meant. */
      newLayer: z.boolean().optional(),
    }),
    result: FolderView,
  },
  'folder.ls': { params: Nothing, result: z.object({ folders: z.array(FolderView) }) },
  'folder.status': {
    params: z.object({ folder: FolderName.optional(), limit: z.number().int().min(1).max(10_000).default(100) }),
    result: z.object({
      folders: z.array(
        FolderView.extend({
          /** As many as `limit`, held ones first. */
          issues: z.array(FolderIssue),
          /** The newest first, one for each file. */
          arrivals: z.array(FolderArrival),
        }),
      ),
    }),
  },
  'folder.rm': { params: z.object({ folder: FolderName }), result: FolderView },
  /** Carries out the deletions that are held, or with `keep` brings the files back. */
  'folder.confirm': {
    params: z.object({ folder: FolderName, keep: z.boolean().default(false) }),
    result: z.object({ files: z.number().int(), kept: z.boolean() }),
  },
  /** Where a file's content came from, the newest first; without a path what happened in the folder. */
  'folder.log': {
    params: z.object({ folder: FolderName, path: FilePath.optional() }),
    result: z.object({
      arrivals: z.array(FolderArrival),
      happenings: z.array(z.object({ path: z.string(), at: Iso, what: z.string() })),
    }),
  },
  'folder.trash.ls': {
    params: z.object({ folder: FolderName }),
    result: z.object({
      items: z.array(
        z.object({
          item: z.string(),
          path: z.string(),
          bytes: z.number().int(),
          at: Iso,
          nodeName: z.string().nullable(),
        }),
      ),
    }),
  },
  /** Puts a file back under its name, or beside the one that has it now. */
  'folder.trash.restore': {
    params: z.object({ folder: FolderName, item: z.string().max(64) }),
    result: z.object({ path: z.string() }),
  },
} as const
