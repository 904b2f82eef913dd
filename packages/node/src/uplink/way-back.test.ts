import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WayBack } from './way-back.ts'

let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-way-back-'))
  path = join(directory, 'way-back')
})
afterEach(() => rmSync(directory, { recursive: true }))

test('addresses outlive the process, in their order; none leave no file', async () => {
  await (await WayBack.load(path)).keep(['wss://a#x', 'wss://b#y'])
  const again = await WayBack.load(path)
  expect(again.addresses).toEqual(['wss://a#x', 'wss://b#y'])
  await again.keep([])
  expect((await WayBack.load(path)).addresses).toEqual([])
  expect(() => readFileSync(path)).toThrow('ENOENT')
})

test('a damaged line says nothing, and the others are read', async () => {
  await (await WayBack.load(path)).keep(['wss://a#x', 'wss://b#y'])
  writeFileSync(path, readFileSync(path, 'utf8').replace('wss://a', 'wss://c'))
  expect((await WayBack.load(path)).addresses).toEqual(['wss://b#y'])
})

test('a relay that has moved is dialled where a person said, until the log has it elsewhere', async () => {
  const first = await WayBack.load(path)
  await first.keep(['wss://old#x', 'wss://b#y'])
  await first.move('wss://new#x', 'wss://old#x')
  const again = await WayBack.load(path)
  expect(again.addresses.map((address) => again.now(address))).toEqual(['wss://new#x', 'wss://b#y'])
  await again.keep(['wss://old#x'])
  expect(again.now('wss://old#x')).toBe('wss://new#x')
  await again.keep(['wss://newer#x'])
  expect((await WayBack.load(path)).now('wss://old#x')).toBe('wss://old#x')
})
