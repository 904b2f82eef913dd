import { readFile } from 'node:fs/promises'
import { agentsDoorSchema } from '@sealmesh/protocol/ipc/agents-door-schema'
import { agentMethods } from '@sealmesh/protocol/ipc/agent-methods'
import { expect, test } from 'vitest'

const text = await readFile(new URL('../../../packages/protocol/schema/agents-door.json', import.meta.url), 'utf8')
const door = JSON.parse(text)

test('the published schema of the agents’ door is that of the program: node test/dist/ipc/write-schema.js', () => {
  expect(door).toEqual(JSON.parse(JSON.stringify(agentsDoorSchema())))
  expect(Object.keys(door.methods)).toEqual(Object.keys(agentMethods))
})
