import { contentHash } from '@sealmesh/protocol/memory/content-hash'
import { isItemId } from '@sealmesh/protocol/ids'
import { REGISTER_VALUE_BYTES_MAX } from '@sealmesh/protocol/limits'
import { bulletFacts, slugOf } from './bullet-facts.ts'
import { type FrontMatter, splitFrontMatter } from './front-matter.ts'
import { leftOut, type Memory, type MemoryItem, type Skipped } from './memory-item.ts'
import { secretIn } from './secret.ts'

/** Layers of DESIGN §2 that notes go to. */
type NoteLayer = 'semantic' | 'episodic' | 'procedural'
/** Facts that stand under no heading. */
const NO_HEADING = 'top'

const DAILY_NOTE = /^\d{4}-\d{2}-\d{2}(?:[-_ ].*)?$/
const DIARY_WORDS: ReadonlySet<string> = new Set(['diary', 'diaries', 'journal', 'journals'])
const PROCEDURE_FOLDERS: ReadonlySet<string> = new Set([
  'procedures',
  'procedural',
  'how-to',
  'howto',
  'how-tos',
  'runbooks',
  'playbooks',
])
const KINDS: Readonly<Record<string, NoteLayer>> = {
  procedure: 'procedural',
  procedural: 'procedural',
  'how-to': 'procedural',
  howto: 'procedural',
  runbook: 'procedural',
  playbook: 'procedural',
  episode: 'episodic',
  episodic: 'episodic',
  daily: 'episodic',
  session: 'episodic',
}

/**
 * One Markdown note: its whole text under its path, its front matter and each of its bullets as registers
 * (examples/README.md). The text is what people edit; the registers are what agents look up and what merges fact by
 * fact. `path` is relative, with `/` on every system.
 */
export function readNote(path: string, text: string): Memory {
  const skip = (why: string, line?: number): Memory => ({
    items: [],
    skipped: [leftOut(line === undefined ? path : `${path}:${line}`, why)],
  })
  if (!isItemId(path)) return skip('its path cannot be an id: too long, or with control characters')
  const { frontMatter, body, bodyLine } = splitFrontMatter(text)
  const kind = kindOf(frontMatter)
  if (isDiary(path, kind)) return skip('diary is private: it never leaves this machine, so it is not imported')
  for (const [at, line] of text.split('\n').entries()) {
    const secret = secretIn(line)
    if (secret !== undefined) return skip(`looks like ${secret}: take it out, then import again`, at + 1)
  }

  const layer = layerOf(path, kind)
  const items: MemoryItem[] = [{ layer, id: path, type: 'text', text }]
  const skipped: Skipped[] = []
  const addRegister = (id: string, value: unknown, line: number): void => {
    if (!isItemId(id) || Buffer.byteLength(id) > 512)
      skipped.push(leftOut(`${path}:${line}`, 'its id would be too long'))
    else if (Buffer.byteLength(JSON.stringify(value)) > REGISTER_VALUE_BYTES_MAX)
      skipped.push(leftOut(`${path}:${line}`, 'too large for a register; the text of its file holds it'))
    else items.push({ layer, id, type: 'register', value })
  }

  if (frontMatter && Object.keys(frontMatter).length > 0) addRegister(`${path}#front-matter`, frontMatter, 1)
  const firstLine = new Map<string, number>()
  for (const fact of bulletFacts(body)) {
    const line = fact.line + bodyLine - 1
    const slug = slugOf(fact.headings.at(-1) ?? '') || NO_HEADING
    const id = `${path}#${slug}/${contentHash(...fact.within, fact.text)}`
    const earlier = firstLine.get(id)
    if (earlier !== undefined) {
      skipped.push(leftOut(`${path}:${line}`, `says the same as line ${earlier}`))
      continue
    }
    firstLine.set(id, line)
    const within = fact.within.length > 0 ? { within: fact.within } : {}
    addRegister(id, { fact: fact.text, headings: fact.headings, ...within }, line)
  }
  return { items, skipped }
}

/** Agents write `kind`, `type` or `category`, at the top or under `metadata`. */
function kindOf(frontMatter: FrontMatter | undefined): string | undefined {
  const metadata = frontMatter?.['metadata']
  const nested = typeof metadata === 'object' && !Array.isArray(metadata) ? (metadata as Record<string, unknown>) : {}
  for (const key of ['kind', 'type', 'category', 'layer']) {
    for (const value of [frontMatter?.[key], nested[key]])
      if (typeof value === 'string') return value.trim().toLowerCase()
  }
  return undefined
}

function isDiary(path: string, kind: string | undefined): boolean {
  if (kind !== undefined && DIARY_WORDS.has(kind)) return true
  return path
    .toLowerCase()
    .split('/')
    .some((part) => DIARY_WORDS.has(part.replace(/\.(?:md|markdown)$/, '')))
}

function layerOf(path: string, kind: string | undefined): NoteLayer {
  const parts = path.toLowerCase().split('/')
  const name = (parts.pop() ?? '').replace(/\.(?:md|markdown)$/, '')
  const named = kind !== undefined && Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
  if (named !== undefined) return named
  if (DAILY_NOTE.test(name)) return 'episodic'
  return parts.some((part) => PROCEDURE_FOLDERS.has(part)) ? 'procedural' : 'semantic'
}
