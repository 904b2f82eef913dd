import { expect, test } from 'vitest'
import { z } from 'zod'
import { agentsDoorSchema } from './agents-door-schema.ts'

const door = JSON.parse(JSON.stringify(agentsDoorSchema()))

test('who reads it knows what may be left out, which names are none, and what comes back', () => {
  const send = z.fromJSONSchema(door.methods.send.params)
  expect(send.safeParse({ as: 1, to: 'bob@office', type: 'text' }).success).toBe(true)
  for (const wrong of [{ to: 'Bob' }, { to: 'a@b@c' }, { type: 'A type' }, { as: 0 }, { priority: 4 }, { id: 'a b' }])
    expect(send.safeParse({ as: 1, to: '*', type: 'text', ...wrong }).success, JSON.stringify(wrong)).toBe(false)
  expect(z.fromJSONSchema(door.methods.send.result).safeParse({ id: 'x', delivered: 1 }).success).toBe(false)
  const answer = { id: 'x', delivered: 1, waiting: 0, refused: 0, ofALaterVersion: true }
  expect(z.fromJSONSchema(door.methods.send.result).safeParse(answer).success).toBe(true)
  const vote = z.fromJSONSchema(door.payloads.vote)
  expect([{ vote: 'v', choice: null }, { vote: 'v' }].map((each) => vote.safeParse(each).success)).toEqual([
    true,
    false,
  ])
})
