import { constants } from 'node:fs'
import { lstat, open, readdir, realpath } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { readGraph } from './knowledge-graph.ts'
import {
  GRAPH_BYTES_MAX,
  IMPORT_DEPTH_MAX,
  IMPORT_ENTRIES_MAX,
  IMPORT_FILES_MAX,
  MARKDOWN_BYTES_MAX,
} from './limits.ts'
import { readNote } from './markdown-memory.ts'
import { damaged, leftOut, type Memory, type MemoryItem, type Skipped } from './memory-item.ts'
import { isSecretName } from './secret.ts'

const MARKDOWN = new Set(['.md', '.markdown'])
const GRAPH = new Set(['.jsonl', '.json', '.ndjson'])
/** Another program's wiring: taking it along would be running commands on another machine. */
const SETTINGS =
  /^(?:\.?mcp\.json|settings(?:\.local)?\.(?:json|toml|ya?ml)|config\.(?:json|toml|ya?ml)|hooks(?:\.json)?)$/i
const EXECUTE_BITS = 0o111

/**
 * Reads what an agent remembers: a folder of Markdown notes, one such note, or a knowledge graph in JSON lines.
 * Whatever is not taken is in `skipped` with its reason; a path that gives nothing at all is a failure.
 */
export async function readMemory(path: string): Promise<Memory> {
  const root = await rootOf(path)
  const memory = root.isFolder ? await readFolder(root.path) : await readOne(root.path, basename(root.path))
  if (memory.items.length === 0 && memory.skipped.length === 0)
    throw new Failure('IMPORT_NOTHING', 'There is neither a Markdown note nor a knowledge graph at that path.')
  return memory
}

/** A link at the very path that a person named is theirs to name; links below it are refused. */
async function rootOf(path: string): Promise<{ path: string; isFolder: boolean }> {
  try {
    const real = await realpath(path)
    return { path: real, isFolder: (await lstat(real)).isDirectory() }
  } catch (cause) {
    throw new Failure('FILE_NOT_FOUND', 'The path to import cannot be opened.', { cause })
  }
}

async function readFolder(root: string): Promise<Memory> {
  const items: MemoryItem[] = []
  const skipped: Skipped[] = []
  const skip = (where: string, why: string): void => void skipped.push(leftOut(where, why))
  let files = 0
  let entries = 0

  const walk = async (folder: string, prefix: string, depth: number): Promise<void> => {
    let children: Awaited<ReturnType<typeof listFolder>>
    try {
      children = await listFolder(folder)
    } catch {
      skipped.push(damaged(prefix, 'the folder cannot be read'))
      return
    }
    for (const child of children) {
      // Ids are NFC, so that a name typed on one system is the same item on another.
      const relative = `${prefix}${child.name.normalize('NFC')}`
      if (++entries > IMPORT_ENTRIES_MAX)
        return skip(relative, `more than ${IMPORT_ENTRIES_MAX} entries: this and what follows is left out`)
      const refusal = refusalOf(child, depth)
      if (refusal !== undefined) skip(child.isDirectory() ? `${relative}/` : relative, refusal)
      else if (child.isDirectory()) await walk(join(folder, child.name), `${relative}/`, depth + 1)
      else if (++files > IMPORT_FILES_MAX) skip(relative, `more than ${IMPORT_FILES_MAX} notes`)
      else {
        const note = await readOne(join(folder, child.name), relative)
        items.push(...note.items)
        skipped.push(...note.skipped)
      }
    }
  }
  await walk(root, '', 0)
  return { items, skipped }
}

/** Sorted, so that two imports of one folder write in one order. */
const listFolder = async (folder: string) =>
  (await readdir(folder, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1))

function refusalOf(
  child: { name: string; isSymbolicLink(): boolean; isDirectory(): boolean; isFile(): boolean },
  depth: number,
): string | undefined {
  if (child.isSymbolicLink()) return 'a symbolic link: import what it points to by its own path'
  if (isSecretName(child.name)) return 'its name says that it holds a secret'
  if (SETTINGS.test(child.name)) return 'settings of a program: they would run on other machines'
  if (child.name.startsWith('.')) return 'hidden'
  if (child.isDirectory()) {
    if (child.name === 'node_modules') return 'installed packages, not memory'
    return depth + 1 > IMPORT_DEPTH_MAX ? `deeper than ${IMPORT_DEPTH_MAX} folders` : undefined
  }
  if (!child.isFile()) return 'not a file'
  const extension = extname(child.name).toLowerCase()
  if (MARKDOWN.has(extension)) return undefined
  if (GRAPH.has(extension)) return 'not Markdown; if it is a knowledge graph, import it by its own path'
  return 'not Markdown'
}

/** One note or graph. `where` is its name in ids and reasons. */
async function readOne(path: string, where: string): Promise<Memory> {
  const isGraph = GRAPH.has(extname(path).toLowerCase())
  const skip = (why: string): Memory => ({ items: [], skipped: [leftOut(where, why)] })
  if (isSecretName(basename(path))) return skip('its name says that it holds a secret')
  if (SETTINGS.test(basename(path))) return skip('settings of a program: they would run on other machines')
  if (!isGraph && !MARKDOWN.has(extname(path).toLowerCase()))
    return skip('neither Markdown nor a knowledge graph (.json, .jsonl)')
  const read = await readText(path, isGraph ? GRAPH_BYTES_MAX : MARKDOWN_BYTES_MAX)
  if (!('text' in read)) return { items: [], skipped: [read.unread(where)] }
  return isGraph ? readGraph(where, read.text) : readNote(where, read.text)
}

/** Size and kind are judged on the opened file, so that nothing can be swapped in between. */
async function readText(
  path: string,
  bytesMax: number,
): Promise<{ text: string } | { unread: (where: string) => Skipped }> {
  let file: Awaited<ReturnType<typeof open>>
  try {
    // O_NONBLOCK: opening a pipe that somebody put here must not wait for its writer.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    return broken('cannot be opened')
  }
  try {
    const { size, mode, ...stat } = await file.stat().then((s) => ({ size: s.size, mode: s.mode, isFile: s.isFile() }))
    if (!stat.isFile) return unwanted('not a file')
    if (process.platform !== 'win32' && (mode & EXECUTE_BITS) !== 0)
      return unwanted('executable: chmod a-x it if it is a note')
    if (size > bytesMax) return broken(`too large: ${size} bytes, at most ${bytesMax}`)
    const bytes = await file.readFile()
    if (bytes.length > bytesMax) return broken(`too large: at most ${bytesMax} bytes`)
    if (bytes.includes(0)) return broken('binary')
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n') }
  } catch (cause) {
    return broken(cause instanceof TypeError ? 'binary: not valid UTF-8' : 'cannot be read')
  } finally {
    await file.close()
  }
}

const unwanted = (why: string) => ({ unread: (where: string) => leftOut(where, why) })
const broken = (why: string) => ({ unread: (where: string) => damaged(where, why) })
