import { expect, test } from 'vitest'
import {
  ADDRESS_FAILURES_MAX,
  ADDRESS_STRANGERS_MAX,
  ADDRESS_WINDOW_MS,
  CONNECTIONS_MAX,
  STRANGERS_MAX,
} from './direct-limits.ts'
import { Strangers } from './strangers.ts'

test('an address has a bound of strangers; who logs in or leaves makes room', () => {
  const strangers = new Strangers()
  for (let at = 0; at < ADDRESS_STRANGERS_MAX; at++) expect(strangers.admit('a', 0)).toBe(true)
  expect(strangers.admit('a', 0)).toBe(false)
  expect(strangers.admit('b', 0)).toBe(true)
  strangers.welcome('a')
  expect(strangers.admit('a', 0)).toBe(true)
  strangers.left('a', 'stranger')
  expect(strangers.admit('a', 0)).toBe(true)
  strangers.left('a', 'member')
  expect(strangers.admit('a', 0)).toBe(false)
})

test('all connections together have one, members among them', () => {
  const strangers = new Strangers()
  for (let at = 0; at < CONNECTIONS_MAX; at++) {
    expect(strangers.admit(`${at}`, 0)).toBe(true)
    strangers.welcome(`${at}`)
  }
  expect(strangers.admit('one more', 0)).toBe(false)
  strangers.left('0', 'member')
  expect(strangers.admit('one more', 0)).toBe(true)
})

test('strangers from many addresses leave room for members', () => {
  const strangers = new Strangers()
  for (let at = 0; at < STRANGERS_MAX; at++) expect(strangers.admit(`${at}`, 0)).toBe(true)
  expect(strangers.admit('one more', 0)).toBe(false)
  strangers.welcome('0')
  expect(strangers.admit('one more', 0)).toBe(true)
  expect(strangers.admit('and one', 0)).toBe(false)
  strangers.left('1', 'stranger')
  expect(strangers.admit('and one', 0)).toBe(true)
})

test('who fails again and again is not listened to for a minute', () => {
  const strangers = new Strangers()
  for (let at = 0; at < ADDRESS_FAILURES_MAX; at++) {
    expect(strangers.admit('a', 0)).toBe(true)
    strangers.left('a', 'stranger')
  }
  expect(strangers.admit('a', ADDRESS_WINDOW_MS - 1)).toBe(false)
  expect(strangers.admit('b', ADDRESS_WINDOW_MS - 1)).toBe(true)
  expect(strangers.admit('a', ADDRESS_WINDOW_MS)).toBe(true)
})
