import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Names that both sides use most of the time, so that they meet. */
const NAMES = ['a.md', 'b.md', 'c.md', 'sub/d.md', 'sub/e.md']
/** And others: of so many files a few deletions are not held. */
const QUIET = 40
const PAUSE_MS = 40
/** A picture is its own check: 32 bytes of hash, then what they are the hash of. */
const PICTURE_BYTES = 20_000

/**
 * A person and some programs at work in one folder, one after another: they append, save whole files by replacing them,
 * take lines away, make, rename and delete files. Every line is one word (of two lines that two people write in one place their words are mixed) that is written
 * once, so that at the end each can be told; and at any time each file is looked at whether it is whole.
 */
export class Editor {
  readonly folder: string
  readonly written = new Set<string>()
  readonly removed = new Set<string>()
  /** Files that were seen half written. */
  readonly broken: string[] = []
  readonly #name: string
  readonly #dice: () => number
  #stopped = false
  #words = 0
  #now: { written: string[]; removed: string[] } = { written: [], removed: [] }

  constructor(name: string, folder: string, dice: () => number) {
    this.#name = name
    this.folder = folder
    this.#dice = dice
  }

  begin(): void {
    for (let n = 0; n < QUIET; n++) this.#append(`quiet-${this.#name}-${n}.md`)
    for (const word of this.#now.written) this.written.add(word)
  }

  stop(): void {
    this.#stopped = true
  }

  async work(): Promise<void> {
    while (!this.#stopped) {
      this.#try()
      this.#look()
      await pause(this.#dice() * PAUSE_MS)
    }
  }

  /** What the folder has, in a few characters. */
  digest(): string {
    const hash = createHash('sha256')
    for (const file of this.#files()) hash.update(file).update(fs.readFileSync(this.#full(file)))
    return hash.digest('hex')
  }

  lines(): Set<string> {
    const texts = this.#files().filter((file) => file.endsWith('.md'))
    return new Set(texts.flatMap((file) => fs.readFileSync(this.#full(file), 'utf8').split('\n')))
  }

  readonly #full = (file: string): string => path.join(this.folder, file)
  readonly #pick = <T>(all: readonly T[]): T | undefined => all[Math.floor(this.#dice() * all.length)]

  #files(): string[] {
    const names = fs.readdirSync(this.folder, { recursive: true, encoding: 'utf8' })
    return names.filter((name) => /\.(md|png)$/.test(name) && !path.basename(name).startsWith('.sealmesh-')).sort()
  }

  /** What could not be done, for somebody else was faster, was not written and removed nothing. */
  #try(): void {
    this.#now = { written: [], removed: [] }
    try {
      this.#act()
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error
      return
    }
    for (const word of this.#now.written) this.written.add(word)
    for (const word of this.#now.removed) this.removed.add(word)
  }

  #act(): void {
    const what = this.#dice()
    const texts = this.#files().filter((file) => file.endsWith('.md'))
    const met = texts.filter((file) => NAMES.includes(file))
    const file = this.#pick(this.#dice() < 0.7 && met.length > 0 ? met : texts)
    if (file === undefined || what < 0.08) return this.#append(this.#pick(NAMES) ?? '')
    if (what < 0.4) return this.#append(file)
    if (what < 0.75) return this.#rewrite(file, (lines) => lines.splice(this.#at(lines), 0, this.#word()))
    if (what < 0.85) return this.#rewrite(file, (lines) => this.#forget(lines.splice(this.#at(lines), 1)))
    if (what < 0.87) return this.#savePicture()
    if (what < 0.96) return this.#rename(file)
    if (what < 0.975) return this.#delete(file)
    this.#append(file)
  }

  readonly #at = (lines: readonly string[]): number => Math.floor(this.#dice() * (lines.length + 1))

  #word(): string {
    const word = `${this.#name}${this.#words++}`
    this.#now.written.push(word)
    return word
  }

  #forget(lines: readonly string[]): void {
    this.#now.removed.push(...lines)
  }

  #append(file: string): void {
    fs.mkdirSync(path.dirname(this.#full(file)), { recursive: true })
    fs.appendFileSync(this.#full(file), `${this.#word()}\n`)
  }

  /** As most programs save. Nobody else's save may come in between, or it is they who lose it. */
  #rewrite(file: string, change: (lines: string[]) => void): void {
    const [from, to] = [this.#full(file), this.#full(`${file}.tmp`)]
    const before = stampOf(from)
    const lines = fs.readFileSync(from, 'utf8').split('\n').slice(0, -1)
    change(lines)
    fs.writeFileSync(to, lines.map((line) => `${line}\n`).join(''))
    if (stampOf(from) === before) return fs.renameSync(to, from)
    fs.rmSync(to)
    this.#now = { written: [], removed: [] }
  }

  #savePicture(): void {
    const content = randomBytes(Math.floor(this.#dice() * PICTURE_BYTES))
    const hash = createHash('sha256').update(content).digest()
    fs.writeFileSync(this.#full('logo.png.tmp'), Buffer.concat([hash, content]))
    fs.renameSync(this.#full('logo.png.tmp'), this.#full('logo.png'))
  }

  #rename(file: string): void {
    const to = `moved-${this.#name}-${this.#words++}.md`
    fs.renameSync(this.#full(file), this.#full(to))
  }

  #delete(file: string): void {
    this.#forget(fs.readFileSync(this.#full(file), 'utf8').split('\n'))
    fs.rmSync(this.#full(file))
  }

  #look(): void {
    for (const file of this.#list()) {
      let bytes: Buffer
      try {
        bytes = fs.readFileSync(this.#full(file))
      } catch {
        continue // Gone since it was listed.
      }
      if (!(file.endsWith('.md') ? isWholeText(bytes) : isWholePicture(bytes))) this.broken.push(file)
    }
  }

  /** Also while folders in it come and go. */
  #list(): string[] {
    try {
      return this.#files()
    } catch {
      return []
    }
  }
}

const isWholeText = (bytes: Buffer): boolean => /^((home|office)\d+\n)*$/.test(bytes.toString('utf8'))

const isWholePicture = (bytes: Buffer): boolean =>
  createHash('sha256').update(bytes.subarray(32)).digest().equals(bytes.subarray(0, 32))

function stampOf(file: string): string | undefined {
  const stats = fs.lstatSync(file, { bigint: true, throwIfNoEntry: false })
  return stats && `${stats.size} ${stats.mtimeNs} ${stats.ino}`
}
