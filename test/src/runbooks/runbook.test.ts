import { expect, test } from 'vitest'
import { missingIn, stepsOf } from './runbook.ts'

const page = (...lines: string[]): string => lines.join('\n')

test('commands are those of their machine, with what they print and what happens in between', () => {
  const steps = stepsOf(
    page('# Title', '```sh home', 'sealmesh down', '```', '```text', 'is …', '```', '<!-- test: dies relay -->'),
  )
  expect(steps).toEqual([
    { type: 'run', machine: 'home', stays: false, commands: 'sealmesh down', shows: ['is …'], line: 2 },
    { type: 'happens', what: 'dies', machine: 'relay', line: 8 },
  ])
  expect(stepsOf(page('```sh relay stays', 'sealmesh-relay up', '```'))).toMatchObject([{ stays: true }])
})

test('a block that nobody would run, or that does not end, is an error and not left out', () => {
  expect(() => stepsOf(page('```sh', 'sealmesh down', '```'))).toThrow('on which machine')
  expect(() => stepsOf(page('```bash home', 'sealmesh down', '```'))).toThrow('commands are')
  expect(() => stepsOf(page('```sh home', 'sealmesh down'))).toThrow('does not end')
  expect(() => stepsOf(page('```text', 'x', '```'))).toThrow('the output of what')
})

test('what is shown has to be printed, in its order; dots stand for anything on the line, spaces for any number', () => {
  const output = 'NODE    STATE\nhome    removed\noffice  member\n'
  expect(missingIn(output, ['home removed', 'office …ber'])).toBeUndefined()
  expect(missingIn(output, ['office', 'home'])).toBe('home')
  expect(missingIn(output, ['home … member'])).toBe('home … member')
  expect(missingIn('a.c', ['abc'])).toBe('abc')
})
