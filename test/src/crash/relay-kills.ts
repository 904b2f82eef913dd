import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { parseArgs } from 'node:util'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { loadSodium } from '@sealmesh/sodium/load'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { Mail } from './mail.ts'

/**
 * `pnpm relay-kills [--kills N] [--seed S] [--json FILE]`: kills a relay under load, N times, and looks every so often
 * whether its mailbox holds all that it called stored. Every few kills its disk is full before, and has room again before
 * every other one of these. Says in its last line how much that was; fails if anything was lost, or came twice in one
 * session.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    json: { type: 'string' },
  },
})
const [kills, seed] = [Number(values.kills), Number(values.seed)]
if (![kills, seed].every(Number.isSafeInteger) || kills < 1) {
  process.stderr.write('usage: pnpm relay-kills [--kills N] [--seed S] [--json FILE]\n')
  process.exit(2)
}

/** A mailbox holds 100,000 packets: it is read long before. */
const KILLS_BETWEEN_READS = 50
const PACKETS_BETWEEN_KILLS = 400
const KILLS_BETWEEN_FULL_DISKS = 10
const ROOM_BYTES = 65_536
/** The longest that a relay whose disk has room again may go on refusing, and that a full one may find room in its files. */
const DISK_WAIT_MS = 30_000

const dice = seededDice(seed)
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-relay-kills-'))
const data = path.join(directory, 'data')
let relay = await RelayProcess.start({ data })
const { port } = relay
const totals = {
  kills: 0,
  seed,
  fullDisks: 0,
  recovered: 0,
  stored: 0,
  refused: 0,
  unanswered: 0,
  lost: 0,
  doubled: 0,
  unsent: 0,
}
try {
  const mail = new Mail(await loadSodium())
  await mail.introduce(relay.address, relay.claim ?? '')
  let sending = mail.send(relay.address)
  while (totals.kills < kills) {
    await mail.reached(mail.stored.size + 1 + Math.floor(dice() * PACKETS_BETWEEN_KILLS))
    if (totals.kills % KILLS_BETWEEN_FULL_DISKS === KILLS_BETWEEN_FULL_DISKS - 1) await fillDisk(mail)
    await relay.kill()
    totals.kills += 1
    relay = await RelayProcess.start({ data, port })
    sending.dialNow()
    if (totals.kills % KILLS_BETWEEN_READS > 0 && totals.kills < kills) continue
    await sending.close()
    await read(mail)
    process.stderr.write(`${totals.kills} kills: ${totals.stored} stored, ${totals.lost} lost\n`)
    sending = mail.send(relay.address)
  }
  await sending.close()
} finally {
  await relay.kill()
  fs.rmSync(directory, { recursive: true, force: true })
}
const line = JSON.stringify(totals)
process.stdout.write(`${line}\n`)
if (values.json !== undefined) fs.writeFileSync(values.json, `${line}\n`)
process.exitCode = totals.lost + totals.doubled + totals.unsent > 0 ? 1 : 0

/** All that was promised until now, and forgets it: the reader has acknowledged what it got. */
async function read(mail: Mail): Promise<void> {
  const got = await mail.drain(relay.address)
  for (const packet of mail.stored) if (!got.has(packet)) totals.lost += 1
  for (const [packet, times] of got) {
    if (times > 1) totals.doubled += 1
    if (!mail.wasSent(packet)) totals.unsent += 1
  }
  totals.stored += mail.stored.size
  totals.refused += mail.refused
  mail.refused = 0
  totals.unanswered += mail.unanswered.size
  mail.stored.clear()
  mail.unanswered.clear()
}

/** What the system enforces in the middle of a write, as a full disk does; the process that comes next has room. */
async function fillDisk(mail: Mail): Promise<void> {
  const before = mail.refused
  // A little more than its log has now: one of the next writes is cut in two.
  limitFiles(String(logBytes() + Math.floor(dice() * ROOM_BYTES)))
  await until('a packet is refused', () => mail.refused > before, DISK_WAIT_MS)
  totals.fullDisks += 1
  if (totals.fullDisks % 2 === 1) return
  limitFiles('unlimited')
  const stored = mail.stored.size
  await until('packets are stored again', () => mail.stored.size > stored, DISK_WAIT_MS)
  totals.recovered += 1
}

/** The largest of the database's logs. */
function logBytes(): number {
  const database = path.join(data, 'db')
  const logs = fs.readdirSync(database).filter((name) => name.endsWith('.log'))
  return Math.max(0, ...logs.map((name) => fs.statSync(path.join(database, name)).size))
}

function limitFiles(bytes: string): void {
  execFileSync('prlimit', ['--pid', String(relay.pid), `--fsize=${bytes}:unlimited`])
}
