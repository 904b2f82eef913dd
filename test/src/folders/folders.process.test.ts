import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Folders on real disks between two real nodes and a relay, edited as people and programs edit. */

const directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-folders-')))
const [atHome, atOffice] = [path.join(directory, 'notes-home'), path.join(directory, 'notes-office')]
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

const read = (folder: string, name: string): string | undefined => {
  try {
    return fs.readFileSync(path.join(folder, name), 'utf8')
  } catch {
    return undefined
  }
}
const write = (folder: string, name: string, content: string | Uint8Array): void => {
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
  fs.writeFileSync(path.join(folder, name), content)
}
/** As most editors and agents save: a new file, renamed over the old one. */
const replace = (folder: string, name: string, content: string): void => {
  write(folder, `${name}.tmp.123`, content)
  fs.renameSync(path.join(folder, `${name}.tmp.123`), path.join(folder, name))
}
const untilReads = async (folder: string, name: string, content: string | undefined): Promise<void> => {
  let last: string | undefined
  try {
    await until(`${name} reads so`, () => (last = read(folder, name)) === content || undefined)
  } catch (cause) {
    throw new Error(`${name} in ${folder}: ${JSON.stringify(last)}, not ${JSON.stringify(content)}`, { cause })
  }
}
const listing = (folder: string): string[] =>
  fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(
      (name) =>
        fs.lstatSync(path.join(folder, name), { throwIfNoEntry: false })?.isFile() &&
        !path.basename(name).startsWith('.sealmesh-'),
    )
    .sort()

async function folder(node: NodeProcess, ...words: string[]): Promise<Record<string, unknown>> {
  const { exit, objects, program } = await runProgram(BIN.node, ['folder', ...words, '--json', '--home', node.home], {
    name: 'folder',
  })
  if (exit.code !== 0) throw new Error(program.describe())
  return objects[0] ?? {}
}

interface Shown {
  state: string
  held: { here: number; elsewhere: number }
  issues: { path: string; code: string; direction: string }[]
  arrivals: { path: string; nodeName: string }[]
}
const status = async (node: NodeProcess): Promise<Shown> => {
  const { folders } = (await folder(node, 'status')) as { folders: Shown[] }
  const [only] = folders
  if (only === undefined) throw new Error('no folder')
  return only
}

beforeAll(async () => {
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({
    home: path.join(directory, 'home'),
    name: 'home',
    agent: 'claude',
    relay: relay.address,
    ...claim,
  })
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
  const door = await home.door()
  await door.call('agents.add', { name: 'claude', standby: ['office'] })
  await door.close()
  await shareLayers(home, 'claude', ['files'], 'standby')
  fs.mkdirSync(atHome)
  fs.mkdirSync(atOffice)
})

afterAll(async () => {
  await office.stop()
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

test('a first merge of two folders deletes nothing, and merges what both have', async () => {
  write(atHome, 'MEMORY.md', '# Memory\n\n- same\n- from home\n')
  write(atHome, 'only-home.md', 'home\n')
  write(atOffice, 'MEMORY.md', '# Memory\n\n- same\n- from office\n')
  write(atOffice, 'sub/only-office.md', 'office\n')
  write(atHome, 'logo.png', Uint8Array.of(0, 1, 2))
  write(atOffice, 'logo.png', Uint8Array.of(0, 3, 4))
  await folder(home, 'add', 'claude', atHome)
  await folder(office, 'add', 'claude', atOffice)
  await untilReads(atHome, 'sub/only-office.md', 'office\n')
  await untilReads(atOffice, 'only-home.md', 'home\n')
  await until('both are equal', () => read(atHome, 'MEMORY.md') === read(atOffice, 'MEMORY.md') || undefined)
  for (const line of ['- same', '- from home', '- from office'])
    expect(
      read(atHome, 'MEMORY.md')
        ?.split('\n')
        .filter((each) => each === line),
    ).toEqual([line])
  await until('both have both pictures', () => listing(atHome).join() === listing(atOffice).join() || undefined)
  const pictures = listing(atHome).filter((name) => name.endsWith('.png'))
  expect(pictures).toHaveLength(2)
  expect(pictures.map((name) => fs.readFileSync(path.join(atOffice, name))[1] ?? 0).sort((a, b) => a - b)).toEqual([
    1, 3,
  ])
})

describe('edits arrive that are made', () => {
  test('by replacing the file, by appending, by sed and by vim', async () => {
    write(atHome, 'a.md', 'one\ntwo\nthree\n')
    await untilReads(atOffice, 'a.md', 'one\ntwo\nthree\n')
    replace(atOffice, 'a.md', 'one\n2\nthree\n')
    await untilReads(atHome, 'a.md', 'one\n2\nthree\n')
    fs.appendFileSync(path.join(atHome, 'a.md'), 'four\n')
    await untilReads(atOffice, 'a.md', 'one\n2\nthree\nfour\n')
    execFileSync('sed', ['-i', 's/three/3/', path.join(atOffice, 'a.md')])
    await untilReads(atHome, 'a.md', 'one\n2\n3\nfour\n')
    // As vim with its backup: the old file aside, a new one under its name, the old one gone.
    fs.writeFileSync(path.join(atHome, '4913'), '')
    fs.unlinkSync(path.join(atHome, '4913'))
    fs.renameSync(path.join(atHome, 'a.md'), path.join(atHome, 'a.md~'))
    write(atHome, 'a.md', 'one\n2\n3\nfour\nfive\n')
    fs.unlinkSync(path.join(atHome, 'a.md~'))
    await untilReads(atOffice, 'a.md', 'one\n2\n3\nfour\nfive\n')
    expect(listing(atOffice).filter((name) => name.startsWith('a.md') || name === '4913')).toEqual(['a.md'])
    expect((await folder(office, 'trash', 'ls', 'claude'))['items']).toEqual([])
  })

  test('on both sides at once, again and again, and nothing of either is lost', async () => {
    write(atHome, 'both.md', 'start\n')
    await untilReads(atOffice, 'both.md', 'start\n')
    const append = async (where: string, word: string): Promise<void> => {
      for (let n = 0; n < 30; n++) {
        fs.appendFileSync(path.join(where, 'both.md'), `${word} ${n}\n`)
        await new Promise((resolve) => setTimeout(resolve, 23))
      }
    }
    await Promise.all([append(atHome, 'home'), append(atOffice, 'office')])
    const lines = (where: string) => new Set(read(where, 'both.md')?.split('\n'))
    const all = ['home', 'office'].flatMap((word) => Array.from({ length: 30 }, (_, n) => `${word} ${n}`))
    await until('all is there', () => all.every((line) => lines(atHome).has(line) && lines(atOffice).has(line)))
    await until('both are equal', () => read(atHome, 'both.md') === read(atOffice, 'both.md') || undefined)
  })

  test('while the node is down, and survive its restart', async () => {
    await office.stop()
    write(atOffice, 'a.md', 'changed while down\n')
    write(atOffice, 'new-while-down.md', 'new\n')
    fs.renameSync(path.join(atOffice, 'only-home.md'), path.join(atOffice, 'renamed.md'))
    write(atHome, 'meanwhile.md', 'home\n')
    office = await NodeProcess.start({ home: office.home, name: 'office' })
    await untilReads(atHome, 'a.md', 'changed while down\n')
    await untilReads(atHome, 'new-while-down.md', 'new\n')
    await untilReads(atHome, 'renamed.md', 'home\n')
    await untilReads(atHome, 'only-home.md', undefined)
    await untilReads(atOffice, 'meanwhile.md', 'home\n')
  })

  test('to large files, and to files in new folders', async () => {
    const words = `${Array.from({ length: 50_000 }, (_, n) => `word ${n}`).join('\n')}\n`
    write(atHome, 'deep/er/book.md', words)
    write(
      atHome,
      'deep/picture.bin',
      Uint8Array.from({ length: 400_000 }, (_, n) => (n * n) % 253),
    )
    await untilReads(atOffice, 'deep/er/book.md', words)
    await until('the picture is there', () => read(atOffice, 'deep/picture.bin') !== undefined || undefined)
    expect(fs.readFileSync(path.join(atOffice, 'deep/picture.bin'))).toEqual(
      fs.readFileSync(path.join(atHome, 'deep/picture.bin')),
    )
  })
})

test('where a file came from is shown, and told as an event', async () => {
  const door = await home.door()
  const { cursor } = await door.call('events', { follow: false })
  replace(atOffice, 'a.md', 'from the office\n')
  await untilReads(atHome, 'a.md', 'from the office\n')
  const { arrivals } = (await folder(home, 'log', 'claude', 'a.md')) as { arrivals: { nodeName: string }[] }
  expect(arrivals[0]?.nodeName).toBe('office')
  await until('the status says so', async () =>
    (await status(home)).arrivals.some((each) => each.path === 'a.md' && each.nodeName === 'office'),
  )
  const about = { types: ['folder' as const], agent: 'claude', layer: 'files' }
  const { events } = await door.call('events', { follow: false, after: cursor, ...about })
  await door.close()
  expect(events.map(({ detail, nodeName, local }) => ({ ...detail, nodeName, local }))).toContainEqual({
    what: 'arrived',
    path: 'a.md',
    nodeName: 'office',
    local: false,
  })
})

describe('what must not cross', () => {
  test('links are followed in neither direction', async () => {
    const outside = path.join(directory, 'outside')
    fs.mkdirSync(outside)
    write(outside, 'secret.md', 'outside\n')
    fs.symlinkSync(path.join(outside, 'secret.md'), path.join(atHome, 'link.md'))
    fs.symlinkSync(outside, path.join(atHome, 'linked'))
    // At the office the names are a file and a folder: at home they would be written through the links.
    write(atOffice, 'link.md', 'overwritten\n')
    write(atOffice, 'linked/new.md', 'written outside\n')
    write(atHome, 'marker.md', 'home\n')
    write(atOffice, 'marker-2.md', 'office\n')
    await untilReads(atOffice, 'marker.md', 'home\n')
    await untilReads(atHome, 'marker-2.md', 'office\n')
    await until('home lists both', async () => {
      const refused = (await status(home)).issues.filter(({ code }) => code === 'LINK').map(({ path: name }) => name)
      return refused.includes('link.md') && refused.includes('linked')
    })
    expect(fs.readdirSync(outside)).toEqual(['secret.md'])
    expect(read(outside, 'secret.md')).toBe('outside\n')
    expect(read(atOffice, 'link.md')).toBe('overwritten\n')
    for (const name of ['link.md', 'linked']) fs.unlinkSync(path.join(atHome, name))
    await untilReads(atHome, 'linked/new.md', 'written outside\n')
  })

  test('programs, hooks, settings and secrets stay, with the reason, until they are named', async () => {
    write(atHome, 'tool', '#!/bin/sh\necho\n')
    fs.chmodSync(path.join(atHome, 'tool'), 0o755)
    write(atHome, '.mcp.json', '{}')
    write(atHome, 'hooks/on-start', 'x')
    write(atHome, 'key.md', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n')
    write(atHome, 'marker-3.md', 'home\n')
    await untilReads(atOffice, 'marker-3.md', 'home\n')
    const listed = ['EXECUTABLE tool', 'HOOK hooks/on-start', 'SECRET key.md', 'SETTINGS .mcp.json']
    let codes: string[] = []
    await until('home lists them', async () => {
      codes = (await status(home)).issues.map(({ path: name, code }) => `${code} ${name}`).sort()
      return codes.join() === listed.join()
    }).catch(() => expect(codes).toEqual(listed))
    for (const name of ['tool', '.mcp.json', 'hooks/on-start', 'key.md']) expect(read(atOffice, name)).toBe(undefined)
    await folder(home, 'add', 'claude', atHome, '--allow', 'tool')
    await until('the office refuses it too', async () =>
      (await status(office)).issues.some((each) => each.path === 'tool' && each.direction === 'in'),
    )
    await folder(office, 'add', 'claude', atOffice, '--allow', 'tool')
    await untilReads(atOffice, 'tool', '#!/bin/sh\necho\n')
    expect(fs.statSync(path.join(atOffice, 'tool')).mode & 0o100).toBe(0o100)
  })
})

describe('deletions', () => {
  test('go to the trash of the other machine, and come back from there', async () => {
    fs.unlinkSync(path.join(atHome, 'meanwhile.md'))
    await untilReads(atOffice, 'meanwhile.md', undefined)
    const { items } = (await folder(office, 'trash', 'ls', 'claude')) as { items: { item: string; path: string }[] }
    const [item] = items.filter((each) => each.path === 'meanwhile.md')
    expect(item).toMatchObject({ nodeName: 'home' })
    await folder(office, 'trash', 'restore', 'claude', item?.item ?? '')
    await untilReads(atHome, 'meanwhile.md', 'home\n')
  })

  test('of most of a folder are held until somebody confirms them, on each machine', async () => {
    const before = listing(atOffice)
    for (const name of listing(atHome)) if (name.endsWith('.md')) fs.unlinkSync(path.join(atHome, name))
    await until('home holds them', async () => (await status(home)).held.here > 3)
    expect(listing(atOffice)).toEqual(before)
    await folder(home, 'confirm', 'claude', '--keep')
    await until('they are back', () => listing(atHome).filter((name) => name.endsWith('.md')).length > 10 || undefined)
    expect(listing(atOffice)).toEqual(before)
  })

  test('of the folder itself are none', async () => {
    const before = listing(atOffice)
    fs.renameSync(atHome, `${atHome}-away`)
    await until('home misses it', async () => (await status(home)).state === 'missing')
    expect(fs.existsSync(atHome)).toBe(false)
    fs.renameSync(`${atHome}-away`, atHome)
    write(atHome, 'after.md', 'after\n')
    await untilReads(atOffice, 'after.md', 'after\n')
    expect(listing(atOffice).filter((name) => name !== 'after.md')).toEqual(before)
  })
})

test('a folder that is removed stays as it is, and may be added again', async () => {
  await folder(office, 'rm', 'claude')
  const before = listing(atOffice)
  write(atHome, 'later.md', 'later\n')
  await folder(office, 'add', 'claude', atOffice)
  await untilReads(atOffice, 'later.md', 'later\n')
  expect(listing(atOffice).filter((name) => name !== 'later.md')).toEqual(before)
})
