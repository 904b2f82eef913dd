import * as fs from 'node:fs'
import * as path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { SETTLE_MS } from '@sealmesh/node/folders/core/limits'
import { RelayProcess } from '@sealmesh/test/processes/relay'
import { median, row } from '../result.ts'
import { monotonicMs } from '../sync/workload.ts'
import { Host } from './host.ts'
import { foundPair } from './mesh.ts'
import type { NodeHost } from './node-host.ts'
import type { Part } from './part.ts'
import { valueOf } from './registers.ts'

const FILES = 2_000
const LINES = 100
const EDITS = 30
const STUCK_MS = 240_000

/** A folder of notes that is mirrored for the first time, and then edited line by line. */
export const folder: Part = async ({ directory, runs, progress }) => {
  const place = path.join(directory, 'folder')
  const notes = { home: path.join(place, 'notes-home'), office: path.join(place, 'notes-office') }
  fs.mkdirSync(notes.home, { recursive: true })
  fs.mkdirSync(notes.office)
  for (let file = 0; file < FILES; file++) fs.writeFileSync(path.join(notes.home, nameOf(file)), contentOf(file))
  const relay = await RelayProcess.start({ data: path.join(place, 'relay') })
  const hosts: Host<NodeHost>[] = []
  try {
    progress('folder: a relay and two nodes')
    const homes = { home: path.join(place, 'home'), office: path.join(place, 'office') }
    await foundPair(relay, homes, ['files', 'semantic'])
    const home = await Host.start<NodeHost>('node-host.js', [homes.home])
    hosts.push(home)
    const office = await Host.start<NodeHost>('node-host.js', [homes.office])
    hosts.push(office)
    await Promise.all([home.ask('live'), office.ask('live')])
    await office.ask('mirror', notes.office)
    progress(`folder: importing ${FILES} files`)
    const startedMs = monotonicMs()
    await home.ask('mirror', notes.home)
    await untilThere(notes.office, startedMs)
    const importMs = monotonicMs() - startedMs

    const [edits, writes]: [number[], number[]] = [[], []]
    for (let run = 0; run < runs; run++) {
      progress(`folder: run ${run + 1} of ${runs}`)
      const [lines, registers]: [number[], number[]] = [[], []]
      for (let i = 0; i < EDITS; i++) {
        const file = nameOf((run * EDITS + i * 61) % FILES)
        const line = `edited ${run} ${i}.`
        const editedMs = monotonicMs()
        fs.appendFileSync(path.join(notes.home, file), `${line}\n`)
        lines.push((await seenIn(path.join(notes.office, file), line)) - editedMs)
        const round = run * EDITS + i
        const there = office.ask('seen', 'semantic', 0, round)
        const setMs = monotonicMs()
        await home.ask('change', 'semantic', [0], round)
        registers.push((await there) - setMs)
      }
      edits.push(median(lines))
      writes.push(median(registers))
    }
    const [edit, write] = [median(edits), median(writes)]
    const barMs = 3 * write + SETTLE_MS
    return {
      rows: [
        row({
          id: 'folder-2000-files-imported-and-synced',
          ours: importMs,
          rival: null,
          unit: 'ms',
          bar: null,
          ok: null,
        }),
        row({
          id: 'folder-edited-line-p50',
          ours: edit,
          rival: write,
          unit: 'ms',
          bar: `<= ${barMs.toPrecision(3)} ms: 3 x a register + the watcher's ${SETTLE_MS} ms`,
          ok: edit <= barMs,
        }),
      ],
      notes: [
        `folder: ${FILES} Markdown files of 10 KB, mirrored between two homes; imported once, until every file lies in the other folder, whole. An edited line: from the append to the file until the other node's file has it; the "rival" is a register, from the call until it is readable there, in turn with the edits.`,
      ],
    }
  } finally {
    for (const host of hosts.reverse()) await host.stop()
    await relay.stop()
    fs.rmSync(place, { recursive: true, force: true })
  }
}

const nameOf = (file: number): string => `note-${file}.md`
const contentOf = (file: number): string =>
  Array.from({ length: LINES }, (_, line) => `- ${valueOf(file * LINES + line, 1)}`).join('\n')

async function seenIn(file: string, line: string): Promise<number> {
  const giveUpAtMs = monotonicMs() + STUCK_MS / 8
  while (!fs.readFileSync(file, 'utf8').includes(line)) {
    if (monotonicMs() > giveUpAtMs) throw new Error('an edited line has not arrived')
    await wait(1)
  }
  return monotonicMs()
}

async function untilThere(notes: string, startedMs: number): Promise<void> {
  let next = 0
  while (next < FILES) {
    if (monotonicMs() - startedMs > STUCK_MS) throw new Error(`file ${next} has not arrived`)
    try {
      if (fs.readFileSync(path.join(notes, nameOf(next)), 'utf8') === contentOf(next)) {
        next += 1
        continue
      }
    } catch {
      // Not there yet.
    }
    await wait(20)
  }
}
