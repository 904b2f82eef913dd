import { loadSodium } from '@sealmesh/sodium/load'
import { openLogCopy } from '@sealmesh/protocol/recovery/log-copy'
import type { MailboxId } from '@sealmesh/protocol/ids'
import { DELIVERED, STORED } from '@sealmesh/protocol/wire/frame'
import { beforeEach, expect, test } from 'vitest'
import { LogTransfer } from './log-transfer.ts'

const sodium = await loadSodium()
const keys = sodium.sealKeys(new Uint8Array(32).fill(7))
const to = { mailbox: 'ab'.repeat(32) as MailboxId, sealKey: keys.publicKey, expiresMs: Date.UTC(2027, 0, 1) }
const RECORD_BYTES = 30_000
const RECORDS = 12
const records = Array.from({ length: RECORDS }, (_, at) => new Uint8Array(RECORD_BYTES).fill(at))

let room: number
let sent: Uint8Array[]
let ended: string[]
let drawn = 0
const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(++drawn)
const send = (packet: Uint8Array): 'sent' | 'full' => {
  if (room === 0) return 'full'
  room -= 1
  sent.push(packet)
  return 'sent'
}
const begin = () => new LogTransfer({ sodium, random, send }, records, to, (outcome) => ended.push(outcome))
const recordsIn = (packet: Uint8Array): number[] =>
  openLogCopy(packet, { mailboxes: new Set([to.mailbox]), keys: [keys] }, sodium)!.map(([first]) => first!)
const idOf = (packet: Uint8Array) => Buffer.from(packet.subarray(1, 17)).toString('hex') as never

beforeEach(() => {
  room = Number.POSITIVE_INFINITY
  sent = []
  ended = []
})

test('goes a few packets at a time, and is over when the relay has answered for all', () => {
  const transfer = begin()
  transfer.go()
  expect(sent).toHaveLength(4)
  for (let at = 0; at < sent.length; at++) {
    expect(ended).toEqual([])
    transfer.answered(idOf(sent[at]!), [at % 2 === 0 ? STORED : DELIVERED])
  }
  expect(ended).toEqual(['kept'])
  expect(sent.flatMap(recordsIn)).toEqual(records.map(([first]) => first))
})

test('goes on from where the link was full, and sends nothing twice', () => {
  room = 2
  const transfer = begin()
  transfer.go()
  expect(sent).toHaveLength(2)
  transfer.go()
  expect(sent).toHaveLength(2)
  room = Number.POSITIVE_INFINITY
  for (let at = 0; at < sent.length; at++) {
    transfer.answered(idOf(sent[at]!), [STORED])
    transfer.go()
  }
  expect(ended).toEqual(['kept'])
  expect(sent.flatMap(recordsIn)).toEqual(records.map(([first]) => first))
})

test('after a lost link what was not answered goes again, and nothing else', () => {
  const transfer = begin()
  transfer.go()
  transfer.answered(idOf(sent[0]!), [STORED])
  transfer.answered(idOf(sent[1]!), [STORED])
  const before = sent.length
  transfer.lostLink()
  transfer.go()
  expect(recordsIn(sent[before]!)).toEqual(recordsIn(sent[2]!))
  for (let at = before; at < sent.length; at++) transfer.answered(idOf(sent[at]!), [STORED])
  expect(ended).toEqual(['kept'])
})

test('a refusal ends it, once', () => {
  const transfer = begin()
  transfer.go()
  transfer.answered(idOf(sent[1]!), [{ outcome: 'refused', reason: 'QUOTA_BYTES' }])
  transfer.answered(idOf(sent[2]!), [{ outcome: 'refused', reason: 'QUOTA_BYTES' }])
  const before = sent.length
  transfer.go()
  expect([ended, sent.length]).toEqual([['refused'], before])
})
