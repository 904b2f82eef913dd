import { join } from 'node:path'
import { check, waitFor } from '../stage.ts'
import { AGENT, type Play, SHARED_LAYERS, SOON_MS } from '../play.ts'

const SAMPLE_TEXT = `${AGENT}.semantic.MEMORY.md`

/** What an agent remembers at home is read in, and leaves home only when a grant says so. */
export async function share({ narrator, home, office, needles, memory }: Play): Promise<void> {
  narrator.act("An agent's memory")

  await narrator.step('home imports the notes of a coding agent', async () => {
    await home.type(['import', join(memory, 'claude'), '--agent', AGENT])
    return describe(await home.umrs(`${AGENT}.`))
  })
  await narrator.step('home imports a knowledge graph', async () => {
    await home.type(['import', join(memory, 'graph.jsonl'), '--agent', AGENT])
    return describe(await home.umrs(`${AGENT}.ontology.`))
  })
  await narrator.step('needles go into every layer, a key and the diary', async () => {
    for (const layer of SHARED_LAYERS)
      await home.set(`${AGENT}.${layer}.${needles.plant(`key-${layer}`)}`, needles.plant(`value-${layer}`))
    await home.edit(`${AGENT}.semantic.${needles.plant('name')}.md`, () => `# Note\n\n${needles.plant('text')}\n`)
    await home.set(`${AGENT}.diary.first-evening`, `${needles.plant('diary')}: doubts about the rewrite`)
    return `${needles.count} of them`
  })

  await narrator.step('nothing has left home: the office sees no item', async () => {
    await office.inSync({ withinMs: SOON_MS })
    const seen = await office.attempt(['ls', `${AGENT}.`, '--json'])
    check(!/needle-|MEMORY/.test(seen.stdout), 'the office sees nothing before a grant', seen)
  })

  await narrator.step('the office becomes a standby, and five layers are granted to it', async () => {
    await home.call('agents.add', ['agents', 'add', AGENT, '--standby', 'office'])
    for (const layer of SHARED_LAYERS)
      await home.call('share.set', ['share', 'set', AGENT, `${layer}=standby`, '--yes'])
  })

  await narrator.step('the office has all of it', async (progress) => {
    const wanted = (await home.umrs(`${AGENT}.`)).filter((umr) => !umr.startsWith(`${AGENT}.diary.`))
    const arrived = await waitFor(
      'every item at the office',
      async () => {
        const seen = (await office.umrs(`${AGENT}.`)).filter((umr) => !umr.startsWith(`${AGENT}.diary.`))
        return seen.length >= wanted.length ? { done: seen } : { waiting: `${seen.length} of ${wanted.length}` }
      },
      { withinMs: SOON_MS, progress },
    )
    check(arrived.join('\n') === wanted.join('\n'), 'the office lists the same items', {
      home: wanted.length,
      office: arrived.length,
    })
    check((await office.text(SAMPLE_TEXT)) === (await home.text(SAMPLE_TEXT)), `${SAMPLE_TEXT} reads the same`)
    await Promise.all([home, office].map((machine) => machine.inSync({ withinMs: SOON_MS, progress })))
    return `${describe(arrived)}; status says in sync`
  })

  await narrator.step('a fact, as the office reads it', async () => {
    const { items } = await office.call('ls', ['ls', `${AGENT}.ontology.entity:`])
    check(items.length > 100, 'the office lists the entities of the graph', items.length)
  })
  narrator.quote((await office.text(SAMPLE_TEXT))?.split('\n').slice(0, 6).join('\n') ?? '')

  await narrator.step("the diary's content stayed at home", async () => {
    const own = await home.item(`${AGENT}.diary.first-evening`)
    check(own?.type === 'diary' && own.content !== null, 'home reads its own diary', own)
    const there = await office.item(`${AGENT}.diary.first-evening`)
    check(
      there === undefined || (there?.type === 'diary' && there.content === null),
      'the office has no diary content',
      there,
    )
  })
}

function describe(umrs: readonly string[]): string {
  const texts = umrs.filter((umr) => umr.endsWith(' text')).length
  return `${umrs.length - texts} facts${texts === 0 ? '' : ` and ${texts} texts`}`
}
