import { expect, test } from 'vitest'
import { announcementIn, type LanRecord, recordsOf, SERVICE } from './announcement.ts'

const OURS = { instance: '0123456789abcdef', port: 7447, beacon: 'ab'.repeat(16) }
const asHeard = (records: readonly LanRecord[]): LanRecord[] =>
  records.map((each) =>
    each.type === 'TXT' ? { ...each, data: (each.data as string[]).map((text) => Buffer.from(text)) } : each,
  )
const changed = (type: string, change: Partial<LanRecord>): LanRecord[] =>
  asHeard(recordsOf(OURS)).map((each) => (each.type === type ? { ...each, ...change } : each))

test('what is announced is heard', () => {
  expect(announcementIn(asHeard(recordsOf(OURS)))).toEqual(OURS)
  expect(announcementIn(asHeard(recordsOf(OURS)).toReversed())).toEqual(OURS)
})

test.each([
  ['of another service', [{ name: `${OURS.instance}._http._tcp.local`, type: 'SRV', data: { port: 1 } }]],
  ['under a name that ours never have', changed('SRV', { name: `office.${SERVICE}` })],
  ['without a port', changed('SRV', { data: { target: 'x' } })],
  ['with a port that is none', changed('SRV', { data: { port: 65_536 } })],
  ['with no data at all', changed('SRV', { data: null })],
  ['without a beacon', changed('TXT', { data: [Buffer.from('v=1')] })],
  ['with a beacon that is cut', changed('TXT', { data: [Buffer.from('b=abab')] })],
  ['with a beacon of another kind', changed('TXT', { data: { b: OURS.beacon } })],
  ['with a beacon for another name', changed('TXT', { name: `fedcba9876543210.${SERVICE}` })],
  ['far behind others', [...Array.from({ length: 16 }, () => ({ name: 'x', type: 'A' })), ...asHeard(recordsOf(OURS))]],
  ['nothing', []],
])('an announcement %s is none', (_, records) => {
  expect(announcementIn(records)).toBeUndefined()
})
