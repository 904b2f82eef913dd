import type { Play } from '../play.ts'
import { searchRelay } from './blind.ts'

/** Everybody goes home in order, and the relay is searched once more. */
export async function leave(play: Play): Promise<void> {
  const { narrator, home, office, relay, cable } = play
  narrator.act('Curtain')
  await narrator.step('both nodes and the relay stop', async () => {
    await Promise.all([home.down(), office.down()])
    await relay.stop()
    await cable.close()
  })
  await searchRelay(play)
}
