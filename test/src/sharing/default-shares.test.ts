import { checkConfig } from '@sealmesh/node/config/check'
import { defaultsDue } from '@sealmesh/node/service/default-shares'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { admit, assign, grant, host, type Machine, Scene, ungrant } from '../membership/scene.ts'

/** When the config shares by itself, and when it has no word any more. */

const sodium = await loadSodium()

function world(text: string) {
  const scene = new Scene(sodium)
  const [home, office] = [scene.machine('home'), scene.machine('office')]
  const claude = scene.agent('claude')
  scene.found(home)
  scene.sign(claude, host(claude, [home]))
  scene.sign(home, assign(claude, home, 1, null))
  const checked = checkConfig(text)
  if (!checked.ok) throw new Error(JSON.stringify(checked.error))
  const due = (at: Machine = home): string[] =>
    defaultsDue(scene.fold(), at.id, checked.value).flatMap(({ steps, unknown }) => [
      ...steps.map((step) => (step.type === 'grant' ? `${step.layer}=${step.to.type}:${step.access}` : 'ungrant')),
      ...unknown.map((each) => `waits ${each}`),
    ])
  return { scene, home, office, claude, due }
}

test('a default is due on the node that holds the agent, and there only', () => {
  const { scene, office, due } = world(
    '[agents.claude.share]\nsemantic = "standby"\n[agents.other.share]\nsemantic = "standby"\n',
  )
  scene.sign(scene.root, admit(office))
  expect(due()).toEqual(['semantic=standby:read'])
  expect(due(office)).toEqual([])
})

test('a recipient that is not there yet is waited for, without holding up the others', () => {
  const { scene, office, due } = world('[agents.claude.share]\nsemantic = ["standby", "office:write"]\n')
  expect(due()).toEqual(['semantic=standby:read', 'waits semantic=office:write'])
  scene.sign(scene.root, admit(office))
  expect(due()).toEqual(['semantic=standby:read', 'semantic=node:write'])
})

test('what was granted before is not granted again, also with another access', () => {
  const { scene, home, office, claude, due } = world('[agents.claude.share]\nsemantic = "office:write"\n')
  scene.sign(scene.root, admit(office))
  scene.sign(home, grant(claude, 'semantic', office))
  expect(due()).toEqual([])
})

test('once any grant of a layer was ended its defaults have no word, also for recipients that come later', () => {
  const { scene, home, office, claude, due } = world(
    '[agents.claude.share]\nsemantic = ["standby", "office"]\nepisodic = "standby"\n',
  )
  const given = scene.sign(home, grant(claude, 'semantic', 'standby'))
  scene.sign(home, ungrant(claude, given))
  scene.sign(scene.root, admit(office))
  expect(due()).toEqual(['episodic=standby:read'])
})
