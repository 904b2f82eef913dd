import { Failure } from '@sealmesh/protocol/errors'
import { beforeEach, describe, expect, test } from 'vitest'
import { Machine, untilQuiet } from './machine.ts'

/** Two machines with one folder, on disks in memory and a clock of the test's own. */

const clock = { nowMs: 0 }
let home: Machine
let office: Machine

beforeEach(() => {
  clock.nowMs = 0
  home = new Machine(1, clock)
  office = new Machine(2, clock)
})

/** Something is done on the disk of a machine, and its watcher tells. */
function on(machine: Machine, act: (disk: Machine['disk']) => void): void {
  act(machine.disk)
  machine.touch('')
  machine.mirror.touch('')
  machine.mirror.reconsider()
}

const quiet = async (): Promise<void> => await untilQuiet(clock, home, office)
const issues = ({ mirror }: Machine): string[] =>
  [...mirror.state.issues.values()].map(({ type, direction, code, path }) => `${type} ${direction} ${code} ${path}`)

describe('files of two machines', () => {
  test('a new file, an edit, a rename and a deletion arrive', async () => {
    on(home, (disk) => disk.put('notes/a.md', 'one\ntwo\n'))
    await quiet()
    expect(office.disk.content()).toEqual({ 'notes/a.md': 'one\ntwo\n' })
    on(office, (disk) => disk.overwrite('notes/a.md', 'one\ntwo\nthree\n'))
    await quiet()
    expect(home.disk.text('notes/a.md')).toBe('one\ntwo\nthree\n')
    on(home, (disk) => disk.rename('notes/a.md', 'b.md'))
    await quiet()
    expect(office.disk.content()).toEqual({ 'b.md': 'one\ntwo\nthree\n' })
    on(office, (disk) => disk.delete('b.md'))
    await quiet()
    expect(office.mirror.state.heldOut.size).toBe(1)
    await office.mirror.confirm(false)
    await quiet()
    expect(home.disk.content()).toEqual({})
    expect(home.disk.trash.map(({ path }) => path)).toEqual(['b.md'])
  })

  test('a folder that takes the place of what was refused is not refused', async () => {
    on(home, (disk) => disk.put('thing', '#!/bin/sh\n'))
    await quiet()
    expect(issues(home)).toEqual(['refused out EXECUTABLE thing'])
    // Both before anybody looks.
    home.disk.delete('thing')
    home.disk.put('thing/new.md', 'new\n')
    home.touch('thing')
    clock.nowMs += 1_000
    await quiet()
    expect(office.disk.content()).toEqual({ 'thing/new.md': 'new\n' })
    expect(issues(home)).toEqual([])
  })

  test('edits of one file on both sides while they are cut off are all kept', async () => {
    on(home, (disk) => disk.put('MEMORY.md', '# Memory\n\n- one\n- two\n'))
    await quiet()
    on(home, (disk) => disk.put('MEMORY.md', '# Memory\n\n- zero\n- one\n- two\n'))
    on(office, (disk) => disk.overwrite('MEMORY.md', '# Memory\n\n- one\n- two\n- three\n'))
    await home.round()
    await office.round()
    await quiet()
    expect(home.disk.text('MEMORY.md')).toBe('# Memory\n\n- zero\n- one\n- two\n- three\n')
    expect(office.disk.content()).toEqual(home.disk.content())
  })

  test('nothing of either side is taken for deleted where it is lost what both had last', async () => {
    on(home, (disk) => disk.put('a.md', 'one\n'))
    await quiet()
    on(home, (disk) => disk.overwrite('a.md', 'one\nhome\n'))
    on(office, (disk) => disk.overwrite('a.md', 'one\noffice\n'))
    await office.round()
    home.forgetTexts()
    home.pullFrom(office)
    await quiet()
    expect(home.disk.text('a.md')?.split('\n').sort()).toEqual(['', 'home', 'office', 'one'])
    expect(office.disk.content()).toEqual(home.disk.content())
  })

  test('a rename on one side and an edit on the other meet in the renamed file', async () => {
    on(home, (disk) => disk.put('a.md', 'one\n'))
    await quiet()
    on(home, (disk) => disk.rename('a.md', 'b.md'))
    on(office, (disk) => disk.overwrite('a.md', 'one\ntwo\n'))
    clock.nowMs += 2_000
    await home.round()
    await office.round()
    await quiet()
    expect(home.disk.content()).toEqual({ 'b.md': 'one\ntwo\n' })
    expect(office.disk.content()).toEqual(home.disk.content())
  })

  test('a deletion does not take an edit with it', async () => {
    for (const name of ['a', 'b', 'c', 'd']) on(home, (disk) => disk.put(`${name}.md`, `${name}\n`))
    await quiet()
    on(home, (disk) => disk.delete('a.md'))
    on(office, (disk) => disk.overwrite('a.md', 'a\nmore\n'))
    for (let turn = 0; turn < 4; turn++, clock.nowMs += 700) {
      await home.round()
      await office.round()
    }
    await quiet()
    expect(home.disk.text('a.md')).toBe('a\nmore\n')
    expect(office.disk.content()).toEqual(home.disk.content())
  })

  test('one file made on both sides is merged, once, without a second one', async () => {
    on(home, (disk) => disk.put('MEMORY.md', '- same\n- home\n'))
    on(office, (disk) => disk.put('MEMORY.md', '- same\n- office\n'))
    await home.round()
    await office.round()
    await quiet()
    expect(office.disk.content()).toEqual(home.disk.content())
    expect(Object.keys(home.disk.content())).toEqual(['MEMORY.md'])
    expect(home.disk.text('MEMORY.md')?.split('\n').sort()).toEqual(['', '- home', '- office', '- same'])
    expect(home.disk.trash).toEqual([])
  })

  test('files that are no text are kept both when both changed them', async () => {
    const bytes = (word: string) => new TextEncoder().encode(`\0${word}`)
    on(home, (disk) => disk.put('logo.png', bytes('first')))
    await quiet()
    on(home, (disk) => disk.put('logo.png', bytes('home')))
    on(office, (disk) => disk.put('logo.png', bytes('office')))
    await home.round()
    await office.round()
    await quiet()
    expect(office.disk.content()).toEqual(home.disk.content())
    expect(Object.values(home.disk.content()).sort()).toEqual(['\0home', '\0office'])
    expect(Object.keys(home.disk.content())).toContain('logo.png')
  })

  test('large texts and large other files arrive whole', async () => {
    const words = Array.from({ length: 60_000 }, (_, n) => `word${n}`).join(' ')
    const noise = Uint8Array.from({ length: 300_000 }, (_, n) => (n * n) % 251)
    on(home, (disk) => {
      disk.put('book.txt', words)
      disk.put('picture.bin', noise)
    })
    await quiet()
    expect(office.disk.text('book.txt')).toBe(words)
    expect(office.disk.files.get('picture.bin')?.bytes).toEqual(noise)
  })
})

describe('deletions', () => {
  const fill = async (count: number): Promise<void> => {
    on(home, (disk) => {
      for (let n = 0; n < count; n++) disk.put(`n${n}.md`, `note ${n}\n`)
    })
    await quiet()
  }

  test('of many at once are held where they happen until a person confirms', async () => {
    await fill(9)
    on(home, (disk) => {
      for (let n = 0; n < 5; n++) disk.delete(`n${n}.md`)
    })
    await quiet()
    expect(home.mirror.state.heldOut.size).toBe(5)
    expect(office.disk.files.size).toBe(9)
    expect(home.disk.files.size).toBe(4)
    await home.mirror.confirm(false)
    await quiet()
    // Held there too: it is as much an accident for the other machine.
    expect(office.disk.files.size).toBe(9)
    expect(office.mirror.state.heldIn.size).toBe(5)
    await office.mirror.confirm(false)
    await quiet()
    expect(office.disk.files.size).toBe(4)
    expect(office.disk.trash).toHaveLength(5)
  })

  test('that are held can be taken back on either side', async () => {
    await fill(9)
    on(home, (disk) => {
      for (let n = 0; n < 5; n++) disk.delete(`n${n}.md`)
    })
    await quiet()
    await home.mirror.confirm(true)
    await quiet()
    expect(home.disk.files.size).toBe(9)
    on(home, (disk) => {
      for (let n = 0; n < 5; n++) disk.delete(`n${n}.md`)
    })
    await quiet()
    await home.mirror.confirm(false)
    await quiet()
    await office.mirror.confirm(true)
    await quiet()
    expect(home.disk.files.size).toBe(9)
    expect(office.disk.files.size).toBe(9)
  })

  test('of everything, or of the folder itself, are none', async () => {
    await fill(2)
    home.disk.there = false
    await home.round()
    home.disk.there = true
    const files = [...home.disk.files]
    home.disk.files.clear()
    on(home, () => {})
    await quiet()
    expect(home.mirror.state.heldOut.size).toBe(2)
    expect(office.disk.files.size).toBe(2)
    for (const [path, file] of files) home.disk.files.set(path, file)
    on(home, () => {})
    await quiet()
    expect(home.mirror.state.heldOut.size).toBe(0)
    expect(office.disk.files.size).toBe(2)
  })

  test('by an editor that deletes and creates are none', async () => {
    await fill(1)
    on(home, (disk) => disk.delete('n0.md'))
    await home.round()
    clock.nowMs += 300
    on(home, (disk) => disk.put('n0.md', 'note 0\nmore\n'))
    await quiet()
    expect(office.disk.text('n0.md')).toBe('note 0\nmore\n')
    expect(office.disk.trash).toEqual([])
  })
})

describe('what is refused', () => {
  const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n'

  test('stays on the machine that has it, with the reason, until it is named', async () => {
    on(home, (disk) => {
      disk.put('run.md', '#!/bin/sh\nrm -rf /\n')
      disk.put('.mcp.json', '{}')
      disk.put('.git/hooks/pre-commit', 'x')
      disk.put('hooks/start.txt', 'x')
      disk.put('notes.md', KEY)
      disk.put('ok.md', 'fine\n')
    })
    await quiet()
    expect(office.disk.content()).toEqual({ 'ok.md': 'fine\n' })
    expect(issues(home).sort()).toEqual([
      'refused out EXECUTABLE run.md',
      'refused out HOOK hooks/start.txt',
      'refused out SECRET notes.md',
      'refused out SETTINGS .mcp.json',
    ])
    home.allowed.add('.mcp.json')
    home.mirror.reconsider()
    await quiet()
    expect(issues(office)).toEqual(['refused in SETTINGS .mcp.json'])
    office.allowed.add('.mcp.json')
    office.mirror.reconsider()
    await quiet()
    expect(office.disk.text('.mcp.json')).toBe('{}')
  })

  test('a secret that is written into a mirrored file stays here, and so does what comes for it', async () => {
    on(home, (disk) => disk.put('a.md', 'one\n'))
    await quiet()
    on(home, (disk) => disk.overwrite('a.md', `one\n${KEY}`))
    await quiet()
    on(office, (disk) => disk.overwrite('a.md', 'one\ntwo\n'))
    await quiet()
    expect(home.disk.text('a.md')).toBe(`one\n${KEY}`)
    on(home, (disk) => disk.overwrite('a.md', 'one\nthree\n'))
    await quiet()
    expect(home.disk.text('a.md')?.split('\n').sort()).toEqual(['', 'one', 'three', 'two'])
    expect(office.disk.content()).toEqual(home.disk.content())
  })

  test('what a peer names is written nowhere but in the folder, and nothing that runs', async () => {
    on(home, (disk) => disk.put('ok.md', 'fine\n'))
    await quiet()
    const paths = ['../evil.md', '/etc/evil', 'a/../../evil', 'C:/evil', 'aux.md', 'x\u202ey', '.sealmesh-1.new', '']
    const named = ['.git/config', 'hooks/post-commit', '.mcp.json', 'go.sh', 'sub/.bashrc']
    for (const [n, path] of [...paths, ...named].entries()) {
      const id = n.toString(16).padStart(12, '0')
      office.replica.type(`text/${id}`, 0, 'evil\n')
      office.replica.set(`file/${id}`, JSON.stringify({ v: 1, kind: 'text', path, mtimeMs: 0 }))
    }
    office.replica.type('text/aaaaaaaaaaaa', 0, '#!/bin/sh\n')
    const program = { v: 1, kind: 'text', path: 'plain.md', mtimeMs: 0, executable: true }
    office.replica.set('file/aaaaaaaaaaaa', JSON.stringify(program))
    office.replica.set('file/bbbbbbbbbbbb', JSON.stringify({ v: 1, kind: 'text', path: 7 }))
    office.replica.set('file/cccccccccccc', 'no entry')
    const chunks = { size: 5, hash: 'A'.repeat(43), chunks: ['B'.repeat(43)] }
    const lost = { v: 1, kind: 'binary', path: 'lost.bin', mtimeMs: 0, ...chunks }
    office.replica.set('file/dddddddddddd', JSON.stringify(lost))
    await untilQuiet(clock, home, office)
    expect(home.disk.content()).toEqual({ 'ok.md': 'fine\n' })
    expect(home.mirror.state.tree.refused.map(({ path }) => path).sort()).toEqual(paths.toSorted())
    expect(issues(home).sort()).toEqual([
      'pending in CONTENT_MISSING lost.bin',
      'refused in EXECUTABLE go.sh',
      'refused in EXECUTABLE plain.md',
      'refused in HOOK hooks/post-commit',
      'refused in SETTINGS .mcp.json',
      'refused in SETTINGS sub/.bashrc',
    ])
  })

  test('edits of one who may only read stay on its disk, and others go on arriving', async () => {
    on(home, (disk) => disk.put('a.md', 'one\n\ntwo\n'))
    await quiet()
    office.refusal = new Failure('NOT_A_WRITER', 'This node was not given the right to write this layer.')
    on(office, (disk) => {
      disk.overwrite('a.md', 'one\n\ntwo\nmine\n')
      disk.put('own.md', 'own\n')
    })
    await quiet()
    expect(issues(office).sort()).toEqual(['pending out NOT_A_WRITER a.md', 'pending out NOT_A_WRITER own.md'])
    on(home, (disk) => disk.overwrite('a.md', 'zero\none\n\ntwo\n'))
    await quiet()
    expect(office.disk.text('a.md')).toBe('zero\none\n\ntwo\nmine\n')
    expect(home.disk.text('a.md')).toBe('zero\none\n\ntwo\n')
    office.refusal = undefined
    office.mirror.reconsider()
    await quiet()
    expect(home.disk.content()).toEqual({ 'a.md': 'zero\none\n\ntwo\nmine\n', 'own.md': 'own\n' })
  })
})

describe('news', () => {
  const heard = (machine: Machine): string[] =>
    machine.news
      .splice(0)
      .map(({ what, path, files, because, from }) => [what, path, files, because, from?.slice(-1)])
      .map((parts) => parts.filter((part) => part !== undefined).join(' '))

  test('is what arrives, goes to the trash, is refused, merged or kept twice, once each', async () => {
    on(home, (disk) => {
      for (const name of ['a', 'b', 'c', 'd', 'e']) disk.put(`${name}.md`, `${name}\n`)
      disk.put('logo.png', Uint8Array.of(0, 1))
    })
    on(office, (disk) => {
      disk.put('a.md', 'office\n')
      disk.put('logo.png', Uint8Array.of(0, 2))
    })
    await quiet()
    const first = [...heard(home), ...heard(office)]
    expect(first.filter((each) => each.startsWith('merged a.md'))).toHaveLength(1)
    expect(first.filter((each) => /^copy logo \([0-9a-f]{6}\)\.png/.test(each))).toHaveLength(1)
    expect(first.filter((each) => each.startsWith('arrived b.md'))).toEqual(['arrived b.md 1'])
    on(home, (disk) => {
      disk.put('run.sh', 'x')
      disk.delete('b.md')
    })
    await quiet()
    on(home, () => {})
    await quiet()
    expect(heard(home)).toEqual(['refused run.sh EXECUTABLE 1'])
    expect(heard(office)).toEqual(['trashed b.md 1'])
  })

  test('is also that deletions wait for a person, and what the person said', async () => {
    on(home, (disk) => {
      for (let n = 0; n < 6; n++) disk.put(`n${n}.md`, `note ${n}\n`)
    })
    await quiet()
    heard(home)
    on(home, (disk) => {
      for (let n = 0; n < 4; n++) disk.delete(`n${n}.md`)
    })
    await quiet()
    expect(heard(home)).toEqual(['held 4'])
    await home.mirror.confirm(true)
    await quiet()
    expect(heard(home).toSorted()[0]).toBe('kept 4 1')
  })
})

describe('a folder of two thousand files', () => {
  const FILES = 2_000
  const all = (act: (path: string) => void): void => {
    for (let n = 0; n < FILES; n++) act(`d${n % 20}/n${n}.md`)
  }
  const untilDone = async (machine: Machine): Promise<void> => {
    for (let turn = 0; turn < 8; turn++, clock.nowMs += 700) await machine.round()
  }

  test('is read once when it is new, and not at all after a restart when nothing has changed', async () => {
    on(home, (disk) => all((path) => disk.put(path, `${path}\n`)))
    clock.nowMs += 10_000
    await untilDone(home)
    const first = home.takeCalls()
    expect(first).toMatchObject({ 'disk.read': FILES, 'document.write': 1 })
    // The whole of it in blocks that are full, and in the batches of one round.
    expect(first['document.edit']).toBeLessThan(20)
    expect(first['base.commit']).toBe(1)
    home.restart()
    await untilDone(home)
    const { hashes, ...again } = home.takeCalls()
    // What the document says is compared with what the disk had, once.
    expect(hashes).toBe(FILES)
    expect(Object.keys(again).filter((call) => !/^(disk\.(present|scan|look)|document\.open)$/.test(call))).toEqual([])
    expect(again['document.open']).toBeLessThan(FILES * 2)
  })

  test('costs for one edit what one file costs, and for a renamed folder nothing but its names', async () => {
    on(home, (disk) => all((path) => disk.put(path, `${path}\n`)))
    clock.nowMs += 10_000
    await untilDone(home)
    home.takeCalls()
    home.disk.overwrite('d3/n3.md', 'd3/n3.md\nmore\n')
    home.touch('d3/n3.md')
    clock.nowMs += 10_000
    await home.round()
    await home.round()
    const one = home.takeCalls()
    expect(one).toMatchObject({ 'disk.read': 1, 'document.edit': 1, 'base.commit': 1 })
    expect(one['hashes']).toBeLessThan(10)
    on(home, (disk) => all((path) => disk.rename(path, `moved/${path}`)))
    await untilDone(home)
    expect(home.takeCalls()).not.toHaveProperty('document.edit')
    expect(home.mirror.state.tree.files.size).toBe(FILES)
    expect(home.mirror.state.tree.byPath.has('moved/d3/n3.md')).toBe(true)
  })
})

describe('after a long time', () => {
  const DAY_MS = 24 * 60 * 60_000

  test('entries of deleted files are cleared, and who was away loses nothing that it wrote', async () => {
    for (const name of ['a', 'b', 'c', 'd']) on(home, (disk) => disk.put(`${name}.md`, `${name}\n`))
    await quiet()
    // The office is away from here on.
    on(office, (disk) => disk.overwrite('a.md', 'a\nwritten while away\n'))
    await office.round()
    on(home, (disk) => disk.delete('a.md'))
    for (let turn = 0; turn < 4; turn++, clock.nowMs += 700) await home.round()
    expect(home.mirror.state.tree.gone.size).toBe(1)
    clock.nowMs += 31 * DAY_MS
    for (let turn = 0; turn < 4; turn++, clock.nowMs += 700) await home.round()
    expect(home.mirror.state.tree.gone.size).toBe(0)
    clock.nowMs += DAY_MS
    await quiet()
    expect(home.disk.text('a.md')).toBe('a\nwritten while away\n')
    expect(office.disk.content()).toEqual(home.disk.content())
  })

  test('a chunk that is missing is written again by who has the file', async () => {
    on(home, (disk) => disk.put('logo.png', Uint8Array.of(0, 1, 2)))
    await quiet()
    const [key] = [...home.replica.document.keys()].filter((each) => each.startsWith('chunk/'))
    home.replica.write({ type: 'delete', key: key ?? '' })
    clock.nowMs += 2 * DAY_MS
    await quiet()
    expect(home.replica.document.read(key ?? '')?.value).not.toBe(undefined)
  })
})
