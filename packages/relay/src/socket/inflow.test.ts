import { expect, test } from 'vitest'
import { Inflow } from './inflow.ts'

function scene() {
  const said: string[] = []
  const inflow = new Inflow({ pause: () => said.push('pause'), resume: () => said.push('resume') })
  return { said, inflow }
}

test('whoever has had its share of a turn waits for the next one, and nobody else waits at all', () => {
  const { said, inflow } = scene()
  expect([65_536, 65_536, 65_536].map((bytes) => inflow.take(bytes))).toEqual([true, false, false])
  expect(said).toEqual([])
  inflow.endTurn()
  expect(said).toEqual([])
  for (let i = 0; i < 10; i++) inflow.take(65_536)
  expect(said).toEqual(['pause'])
  inflow.endTurn()
  expect(said).toEqual(['pause', 'resume'])
  expect(inflow.take(1)).toBe(true)
})

test('the end of a turn does not let go of what the core holds, nor the core of what rests', () => {
  const { said, inflow } = scene()
  inflow.take(600_000)
  inflow.hold()
  inflow.endTurn()
  expect(said).not.toContain('resume')
  inflow.letGo()
  expect(said.splice(0).at(-1)).toBe('resume')
  inflow.take(600_000)
  inflow.hold()
  inflow.letGo()
  expect(said).not.toContain('resume')
  inflow.endTurn()
  expect(said.at(-1)).toBe('resume')
})
