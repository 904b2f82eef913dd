import { fileURLToPath } from 'node:url'
import { apart } from './acts/apart.ts'
import { blind } from './acts/blind.ts'
import { leave } from './acts/leave.ts'
import { pair } from './acts/pair.ts'
import { share } from './acts/share.ts'
import { takeover } from './acts/takeover.ts'
import { Cable } from './cable.ts'
import { Machine } from './machine.ts'
import { Narrator } from './narrator.ts'
import { Needles } from './needles.ts'
import type { Play } from './play.ts'
import { Relay } from './relay.ts'
import { DemoFailure, Stage } from './stage.ts'

/**
 * The main job, end to end, with real processes: a relay, two nodes with homes of their own, and a person's commands.
 * Everything lies in one temporary folder and is gone afterwards, whatever happens.
 */
const INTERRUPTED = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

const narrator = new Narrator(process.stdout)
const stage = new Stage()
for (const [signal, code] of Object.entries(INTERRUPTED)) process.once(signal, () => process.exit(code))

const startedAt = performance.now()
try {
  narrator.say('Sealmesh demo: two machines and a relay that cannot read what it carries.')
  await perform()
  await stage.clear()
  narrator.say(`\n${((performance.now() - startedAt) / 1_000).toFixed(1)} s in all`)
  narrator.say('demo: ok')
} catch (error) {
  narrator.say(
    error instanceof DemoFailure ? `\n${error.message}` : `\n${error instanceof Error ? error.stack : String(error)}`,
  )
  for (const end of stage.fallen()) narrator.say(`\n${end}`)
  narrator.say('demo: failed')
  await stage.clear()
  process.exit(1) // The cable may still be open, and would keep this process.
}

async function perform(): Promise<void> {
  const parts: { relay?: Relay; cable?: Cable } = {}
  await narrator.step('a relay starts, with a certificate of its own', async () => {
    parts.relay = await Relay.start(stage)
    parts.cable = await Cable.open({ host: '127.0.0.1', port: parts.relay.port })
    return new URL(parts.relay.address).origin
  })
  const { relay, cable } = parts
  if (relay === undefined || cable === undefined) throw new DemoFailure('The relay did not start.')
  const play: Play = {
    narrator,
    stage,
    relay,
    cable,
    home: new Machine(stage, 'home'),
    office: new Machine(stage, 'office'),
    needles: new Needles(),
    memory: fileURLToPath(new URL('../../memory', import.meta.url)),
  }
  for (const act of [pair, share, apart, blind, takeover, leave]) await act(play)
}
