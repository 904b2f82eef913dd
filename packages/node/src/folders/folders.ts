import { createHash, randomBytes } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Documents } from '../documents/documents.ts'
import { permissionToWrite } from '../documents/permission.ts'
import { afterPrefix, folderKey, TABLES, tablePrefix } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import { FolderBase } from './base-store.ts'
import { ALLOWED_MAX, FOLDERS_MAX } from './core/limits.ts'
import { faultInPath, keyOf } from './core/names.ts'
import { RealDisk } from './disk.ts'
import { Folder } from './folder.ts'
import type { FolderDocument, FolderNews } from './ports.ts'
import { Trash } from './trash.ts'

/** Which folder is mirrored into which document, on this machine only: a path means nothing on another one. */
const Setup = z.object({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  agent: z.string().transform((id) => id as AgentId),
  layer: z.string(),
  path: z.string(),
  /** Paths that a person named although they look dangerous. */
  allowed: z.array(z.string()),
  addedAtMs: z.number(),
})
export type FolderSetup = z.infer<typeof Setup>

export interface FoldersDeps {
  readonly store: Store
  readonly documents: Documents
  readonly node: NodeId
  readonly mesh: () => Mesh
  /** The node's home: never mirrored, and where the trash is. */
  readonly home: string
  readonly log: Logger
  readonly now: () => number
  readonly tell: (name: DocumentName, news: FolderNews) => void
}

export interface MirroredFolder {
  readonly setup: FolderSetup
  readonly folder: Folder
  readonly trash: Trash
  readonly disk: RealDisk
}

const TRASH_CHECK_MS = 60 * 60_000

/** All folders that this node mirrors. */
export class Folders {
  readonly #deps: FoldersDeps
  readonly #folders = new Map<string, MirroredFolder>()
  readonly #stop: (() => void)[] = []

  private constructor(deps: FoldersDeps) {
    this.#deps = deps
  }

  static async open(deps: FoldersDeps): Promise<Folders> {
    const folders = new Folders(deps)
    const prefix = tablePrefix(TABLES.folder)
    for await (const { value } of deps.store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const setup = value && Setup.safeParse(JSON.parse(fromUtf8(value))).data
      if (setup === undefined) deps.log.warn({ code: 'STORE_DAMAGED' }, 'the setup of a folder cannot be read')
      else await folders.#start(setup)
    }
    folders.#stop.push(
      deps.documents.onCommit((commit) => {
        for (const { setup, folder } of folders.#folders.values())
          if (setup.agent === commit.name.agent && setup.layer === commit.name.layer) folder.committed(commit)
      }),
    )
    const clearing = setInterval(() => void folders.#clearTrash(), TRASH_CHECK_MS)
    clearing.unref()
    folders.#stop.push(() => clearInterval(clearing))
    await folders.#clearTrash()
    return folders
  }

  list(): MirroredFolder[] {
    return [...this.#folders.values()].sort((a, b) => (a.setup.path < b.setup.path ? -1 : 1))
  }

  /** Resolves when the folder has been looked at once. Adding it again with more allowed paths allows these too. */
  async add(document: DocumentName, path: string, allow: readonly string[]): Promise<MirroredFolder> {
    const root = await this.#rootOf(path)
    const named = allow.map((each) => allowedPath(each))
    const same = this.list().find(({ setup }) => setup.path === root)
    if (same !== undefined && isSame(same.setup, document)) return await this.#allow(same, named)
    for (const { setup } of this.list()) {
      if (isSame(setup, document))
        throw new Failure('FOLDER_UNUSABLE', 'This layer is mirrored to another folder on this machine already.', {
          next: 'sealmesh folder ls, or another layer: --layer NAME',
        })
      if (isInside(root, setup.path) || isInside(setup.path, root))
        throw new Failure('FOLDER_UNUSABLE', 'It lies in a folder that is mirrored already, or has one in it.')
    }
    if (this.#folders.size >= FOLDERS_MAX)
      throw new Failure('FOLDER_UNUSABLE', `A node mirrors up to ${FOLDERS_MAX} folders.`)
    checkCount(named)
    const setup: FolderSetup = {
      id: randomBytes(8).toString('hex'),
      agent: document.agent,
      layer: document.layer,
      path: root,
      allowed: named,
      addedAtMs: this.#deps.now(),
    }
    await this.#save(setup)
    const added = await this.#start(setup)
    await added.folder.run()
    return added
  }

  /** Files and document stay as they are. */
  async remove({ setup, folder }: MirroredFolder): Promise<void> {
    this.#folders.delete(setup.id)
    await folder.close()
    await new FolderBase(this.#deps.store, setup.id).forget()
    await this.#deps.store.commit([{ type: 'delete', key: folderKey(setup.id) }])
  }

  meshChanged(): void {
    for (const { folder } of this.#folders.values()) folder.meshChanged()
  }

  async close(): Promise<void> {
    for (const stop of this.#stop) stop()
    await Promise.all([...this.#folders.values()].map(({ folder }) => folder.close()))
  }

  async #allow(folder: MirroredFolder, named: readonly string[]): Promise<MirroredFolder> {
    const setup = { ...folder.setup, allowed: [...new Set([...folder.setup.allowed, ...named])] }
    checkCount(setup.allowed)
    await this.#save(setup)
    const changed = { ...folder, setup }
    this.#folders.set(setup.id, changed)
    folder.folder.lookAgain()
    await folder.folder.run()
    return changed
  }

  async #start(setup: FolderSetup): Promise<MirroredFolder> {
    const { store, documents, node, mesh, home, log, now, tell } = this.#deps
    const name: DocumentName = { agent: setup.agent, layer: setup.layer }
    const base = new FolderBase(store, setup.id)
    const document: FolderDocument = {
      node,
      open: () => documents.open(name),
      refusal: () => {
        const permission = permissionToWrite(mesh(), node, name)
        return permission.ok ? undefined : permission.error
      },
      write: async (intents) => void (await documents.write(name, intents)),
      edit: async (edit, changes) => void (await documents.editText(name, edit, base.operationsOf(changes))),
    }
    const trash = new Trash(join(home, 'trash', setup.id), now)
    const disk = new RealDisk(setup.path, trash, () => randomBytes(6).toString('hex'))
    const folder = new Folder(
      setup.path,
      {
        disk,
        document,
        base,
        now,
        tell: (news) => tell(name, news),
        newId: () => randomBytes(6).toString('hex'),
        hashOf: (content) => createHash('sha256').update(content).digest('base64url'),
        allowed: () => new Set(this.#folders.get(setup.id)?.setup.allowed ?? setup.allowed),
      },
      await base.load(),
      log,
    )
    const started = { setup, folder, trash, disk }
    this.#folders.set(setup.id, started)
    const { rules } = folder.mirror.state
    await disk
      .clearLeftovers((path, directory) => rules.ignores(path, directory))
      .catch((error: unknown) => log.warn({ err: error }, 'leftovers in a folder were not cleared'))
    // A first look may take seconds: the node does not wait for it.
    void folder.run()
    return started
  }

  async #save(setup: FolderSetup): Promise<void> {
    await this.#deps.store.commit([{ type: 'put', key: folderKey(setup.id), value: utf8(JSON.stringify(setup)) }])
  }

  async #clearTrash(): Promise<void> {
    for (const { trash } of this.#folders.values())
      await trash.clear().catch((error: unknown) => this.#deps.log.warn({ err: error }, 'a trash was not cleared'))
  }

  async #rootOf(path: string): Promise<string> {
    let root: string
    try {
      root = await realpath(resolve(path))
      if (!(await stat(root)).isDirectory())
        throw new Failure('FOLDER_UNUSABLE', 'It is a file: only folders are mirrored.')
    } catch (error) {
      if (error instanceof Failure) throw error
      throw new Failure('FILE_NOT_FOUND', 'There is no such folder.', {
        cause: error,
        next: 'mkdir -p it, or check the path',
      })
    }
    const home = await realpath(this.#deps.home)
    if (isInside(root, home) || isInside(home, root))
      throw new Failure('FOLDER_UNUSABLE', "The node's own home lies there: its keys may not leave this machine.", {
        next: 'mirror a folder beside it',
      })
    return root
  }
}

const isSame = (setup: FolderSetup, { agent, layer }: DocumentName): boolean =>
  setup.agent === agent && setup.layer === layer

/** Whether one lies in the other, or is it. */
function isInside(path: string, of: string): boolean {
  const way = relative(of, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

function allowedPath(path: string): string {
  const key = keyOf(path.replace(/^\.\//, ''))
  if (faultInPath(key) === undefined && !/[*?[\]]/.test(key)) return key
  throw new Failure('FOLDER_UNUSABLE', 'An allowed path is one file, named from the folder on: notes/run.sh', {
    next: 'name each file by itself; patterns allow nothing',
  })
}

function checkCount(allowed: readonly string[]): void {
  if (allowed.length > ALLOWED_MAX)
    throw new Failure('FOLDER_UNUSABLE', `A folder may have ${ALLOWED_MAX} allowed paths.`)
}
