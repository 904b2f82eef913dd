import type { DoorClient } from '@sealmesh/node/ipc/client'

/**
 * A thousand strings that occur nowhere else, in every place where a person or an agent can put one: names of nodes,
 * agents and layers, keys and values of registers, names and contents of texts, and all that a diary entry has.
 */

export const PLANTS = 1_000

const LAYERS = ['episodic', 'semantic', 'procedural', 'ontology', 'files', 'session'] as const
const OWN_LAYERS = 4
const REGISTERS_PER_LAYER = 16
const TEXTS_PER_LAYER = 4
const DIARY_ENTRIES = 40

/** Letters and digits only, so that no form of writing changes it, and a valid name anywhere. */
const CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'
const PLANT_CHARACTERS = 20

export interface Plants {
  readonly nodes: readonly [home: string, office: string]
  /** Both live at home; the first is the founding agent. */
  readonly agents: readonly [string, string]
  readonly layers: readonly string[]
  readonly registers: readonly { agent: string; layer: string; key: string; value: string }[]
  readonly texts: readonly { agent: string; layer: string; name: string; content: string }[]
  readonly diary: readonly { agent: string; entry: string; tag: string; content: string }[]
  /** What a node shares, in a mesh that seals nothing, and so must be found there. */
  readonly shared: readonly string[]
  /** What no node ever shares. */
  readonly secret: readonly string[]
}

export function makePlants(dice: () => number): Plants {
  const all: string[] = []
  const plant = (): string => {
    let text = ''
    while (text.length < PLANT_CHARACTERS) text += CHARACTERS[Math.floor(dice() * CHARACTERS.length)]
    all.push(text)
    return text
  }
  const several = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)

  const nodes: [string, string] = [plant(), plant()]
  const agents: [string, string] = [plant(), plant()]
  const layers = [...LAYERS, ...several(OWN_LAYERS, plant)]
  const documents = agents.flatMap((agent) => layers.map((layer) => ({ agent, layer })))
  const registers = documents.flatMap((document) =>
    several(REGISTERS_PER_LAYER, () => ({ ...document, key: plant(), value: plant() })),
  )
  const texts = documents.flatMap((document) =>
    several(TEXTS_PER_LAYER, () => ({ ...document, name: plant(), content: plant() })),
  )
  const diary = several(DIARY_ENTRIES, () => ({ agent: agents[0], entry: plant(), tag: plant(), content: plant() }))
  const [agent, layer] = [agents[0], layers[0] ?? '']
  if (all.length > PLANTS) throw new Error(`${all.length} plants are more than ${PLANTS}`)
  while (all.length < PLANTS - 1) registers.push({ agent, layer, key: plant(), value: plant() })

  const secret = diary.map(({ content }) => content)
  return {
    nodes,
    agents,
    layers,
    registers,
    texts,
    diary,
    shared: all.filter((text) => !secret.includes(text)),
    secret,
  }
}

/** Writes all of it at home; the layers are granted already. */
export async function plantAll(door: DoorClient, plants: Plants): Promise<void> {
  for (const { agent, layer, key, value } of plants.registers)
    await door.call('set', { umr: `${agent}.${layer}.${key}`, value: JSON.stringify(value) })
  for (const { agent, layer, name, content } of plants.texts)
    await door.call('text.put', { umr: `${agent}.${layer}.${name}`, text: content })
  for (const { agent, entry, tag, content } of plants.diary)
    await door.call('set', { umr: `${agent}.diary.${entry}`, value: JSON.stringify(content), tags: [tag] })
}
