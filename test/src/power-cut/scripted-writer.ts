import * as fs from 'node:fs'
import * as path from 'node:path'

/**
 * A child process that makes the calls it is told, each with a last word `sync` when the file is to be synced.
 *
 *   node scripted-writer.js DIRECTORY '[["append","a","text","sync"],["syncdir"]]'
 */
const [directory = '', script = '[]'] = process.argv.slice(2)

for (const [call, name = '', ...rest] of JSON.parse(script) as string[][]) {
  const at = path.join(directory, name)
  const sync = rest.at(-1) === 'sync'
  const [first = '', second = ''] = rest
  switch (call) {
    case 'append':
      withFile(at, 'a', sync, (fd) => fs.writeSync(fd, first))
      break
    case 'overwrite':
      withFile(at, 'r+', sync, (fd) => fs.writeSync(fd, second, Number(first)))
      break
    case 'truncate':
      withFile(at, 'r+', sync, (fd) => fs.ftruncateSync(fd, Number(first)))
      break
    case 'rewrite':
      withFile(at, 'w', sync, (fd) => fs.writeSync(fd, first))
      break
    case 'rename':
      fs.renameSync(at, path.join(directory, first))
      break
    case 'mkdir':
      fs.mkdirSync(at)
      break
    case 'unlink':
      fs.unlinkSync(at)
      break
    case 'syncdir':
      withFile(directory, 'r', true, () => undefined)
      break
    default:
      throw new Error(`no such call: ${call}`)
  }
}

function withFile(name: string, flags: string, sync: boolean, use: (fd: number) => unknown): void {
  const fd = fs.openSync(name, flags)
  use(fd)
  if (sync) fs.fsyncSync(fd)
  fs.closeSync(fd)
}
