import * as fs from 'node:fs'
import * as path from 'node:path'

/** What happens to a disk that nobody looks after: bits flip and files vanish, in everything that a node stores. */
export interface Harm {
  readonly kind: 'flip' | 'delete'
  readonly file: string
  readonly bit: number | null
}

/** Not stored state: what lives as long as a process, LevelDB's text logs and locks, and evidence that was kept. */
const NOT_STATE = /(^|\/)(run|[^/]*\.damaged-\d+)(\/|$)|\/(LOG|LOG\.old|LOCK)$|\.damaged$/

export function filesOf(home: string): string[] {
  const all = fs.readdirSync(home, { recursive: true, withFileTypes: true })
  return all
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !NOT_STATE.test(file.slice(home.length)) && fs.statSync(file).size > 0)
    .toSorted()
}

/** Every other flip hits a file at random, whatever its size; the others any byte of all. */
export function flipSomewhere(home: string, dice: () => number, at: number): Harm {
  const files = filesOf(home)
  let file = files[Math.floor(dice() * files.length)]
  if (at % 2 === 1) {
    let left = dice() * files.reduce((total, each) => total + fs.statSync(each).size, 0)
    file = files.find((each) => (left -= fs.statSync(each).size) < 0) ?? file
  }
  if (file === undefined) throw new Error('the home is empty')
  const bytes = fs.readFileSync(file)
  const bit = Math.floor(dice() * bytes.length * 8)
  bytes[bit >> 3]! ^= 1 << (bit & 7)
  fs.writeFileSync(file, bytes)
  return { kind: 'flip', file: path.relative(home, file), bit }
}

export function deleteSomewhere(home: string, dice: () => number): Harm {
  const files = filesOf(home)
  const file = files[Math.floor(dice() * files.length)]
  if (file === undefined) throw new Error('the home is empty')
  fs.rmSync(file)
  return { kind: 'delete', file: path.relative(home, file), bit: null }
}
