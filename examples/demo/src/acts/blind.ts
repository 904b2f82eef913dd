import { check } from '../stage.ts'
import type { Play } from '../play.ts'

/** The relay has forwarded and stored everything so far, and has none of it in clear. */
export async function blind(play: Play): Promise<void> {
  play.narrator.act('What the relay has')
  await searchRelay(play)
  await play.narrator.step("the same search finds them on home's disk, as it should", async () => {
    const { bytes, found } = play.needles.search(play.home.home)
    check(found.length > 0, 'the search works', { bytes })
    return `${found.length} of ${play.needles.count} in ${kilobytes(bytes)}`
  })
}

export async function searchRelay({ narrator, relay, needles }: Play): Promise<void> {
  await narrator.step("no needle in the relay's disk and logs: not raw, not hex, not base64", async () => {
    const { bytes, found } = needles.search(relay.folder, [relay.said])
    check(bytes > 0, 'there is something to search', relay.folder)
    check(found.length === 0, 'the relay holds no plaintext', found)
    return `${needles.count} needles, ${kilobytes(bytes)} searched`
  })
}

const kilobytes = (bytes: number): string => `${Math.ceil(bytes / 1_024)} KiB`
