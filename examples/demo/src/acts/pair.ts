import { waitFor, check } from '../stage.ts'
import { AGENT, type Play, SOON_MS } from '../play.ts'
import { parseJson } from '../machine.ts'

/** Home founds a mesh and claims the relay; the office joins by a one-time link. */
export async function pair({ narrator, relay, cable, home, office }: Play): Promise<void> {
  narrator.act('Two machines and a relay')

  await narrator.step('home founds a mesh and claims the relay with its code', async (progress) => {
    cable.expect(home.name)
    await home.up([
      '--name',
      'home',
      '--agent',
      AGENT,
      '--relay',
      relay.addressThrough(cable.port),
      '--claim',
      relay.claim,
    ])
    await home.live({
      withinMs: SOON_MS,
      progress,
    })
  })

  await narrator.step('the office joins by a one-time link; both show the same four words', async (progress) => {
    cable.expect(office.name)
    const pairing = home.startCommand(['pair', '--yes', '--json'])
    pairing.write()
    const link = await waitFor(
      'the link',
      async () => {
        const said = eventsIn(pairing.stdout).find((event) => typeof event['link'] === 'string')
        return said === undefined ? { waiting: 'no link yet' } : { done: String(said['link']) }
      },
      { withinMs: SOON_MS, progress, needs: pairing },
    )
    // By standard input: the link is a secret, and other users can read a process's arguments.
    const { stdout: joined } = await office.type(['join', '-', '--name', 'office', '--json'], link)
    await pairing.ended
    check(pairing.outcome().code === 0, '`sealmesh pair` ends well', pairing.describe())
    const words = [wordsIn(pairing.stdout), wordsIn(joined)]
    check(words[0]?.length === 4 && words[0].join() === words[1]?.join(), 'both sides show the same four words', {
      pair: pairing.stdout,
      join: joined,
    })
    return words[0].join(' ')
  })

  await narrator.step('the office starts its node', async (progress) => {
    await office.up()
    await office.inSync({ withinMs: SOON_MS, progress })
    const status = await office.status()
    check(status.mesh.nodes === 2, 'the mesh has two nodes', status.mesh)
  })
}

const wordsIn = (output: string): string[] => {
  const said = eventsIn(output).find((event) => Array.isArray(event['words']) && event['words'].length > 0)
  return Array.isArray(said?.['words']) ? said['words'].map(String) : []
}

/** `--json` prints one object a line, each with what happened. */
const eventsIn = (output: string): Record<string, unknown>[] =>
  output
    .split('\n')
    .map(parseJson)
    .filter((line): line is Record<string, unknown> => typeof line === 'object' && line !== null)
