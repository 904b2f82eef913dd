import { graphRowsOf } from '@sealmesh/mcp/graph/rows'
import { Window } from '@sealmesh/node/mcp/window'
import { expect, onTestFinished, test } from 'vitest'
import { agentsNode } from '../agents/agents-node.ts'

test('two windows that remove the same rows have both removed them', async () => {
  const node = await agentsNode(['claude'])
  const open = async () => {
    const token = node.tokens.get('claude') ?? ''
    const window = await Window.open({ home: node.home, token, wantsMail: false })
    onTestFinished(() => window.close())
    return graphRowsOf(window)
  }
  const [one, other] = [await open(), await open()]
  await one.write(['entity:Anna', 'entity:Bert'].map((id) => ({ id, value: { name: id } })))
  // Both have read the graph when the first removes.
  const ids = [...(await other.read()).keys()]
  await one.remove(ids.slice(0, 1))
  await other.remove(ids)
  expect([...(await one.read()).keys()]).toEqual([])
})
