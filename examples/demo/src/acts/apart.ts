import { check, waitFor } from '../stage.ts'
import { AGENT, type Play, SOON_MS } from '../play.ts'
import { searchRelay } from './blind.ts'

const DEPLOY_DAY = `${AGENT}.semantic.deploy-day`
const NOTES = `${AGENT}.semantic.release-notes.md`
const LONG_NOTE = `${AGENT}.semantic.long-note.md`
/** Enough that the relay's disk must hold packets which would show them, were they not sealed. */
const NOTE_LINES = 300
const HOME_LINE = 'Home: the berth planner now locks a slot for ten minutes.'
const OFFICE_LINE = 'Office: the invoice export skips cancelled stays.'

/** Both write while the line is cut, and meet again. */
export async function apart(play: Play): Promise<void> {
  const { narrator, home, office, cable, relay, needles } = play
  narrator.act('Cut off, both go on writing')

  await narrator.step('a fact and a text that both machines have', async (progress) => {
    await home.set(DEPLOY_DAY, 'Tuesday')
    await home.edit(NOTES, () => '# Release notes\n\n## Berths\n\n## Invoices\n')
    await waitFor(
      'both at the office',
      async () =>
        (await office.text(NOTES)) !== undefined && (await office.value(DEPLOY_DAY)) === 'Tuesday'
          ? { done: true }
          : { waiting: 'on its way' },
      { withinMs: SOON_MS, progress },
    )
  })
  await narrator.step("the office's line is cut; home stays connected", async (progress) => {
    cable.cut(office.name)
    await office.waitForStatus('cut off', (s) => s.summary === 'cut off' || s.summary, { withinMs: SOON_MS, progress })
    const status = await home.status()
    check(status.relays[0]?.state === 'live', 'home is still connected', status.relays)
  })
  await narrator.step('both set the same register', async () => {
    await home.set(DEPLOY_DAY, 'Wednesday')
    await office.set(DEPLOY_DAY, 'Thursday')
    check((await home.value(DEPLOY_DAY)) === 'Wednesday', 'home reads its own value')
    check((await office.value(DEPLOY_DAY)) === 'Thursday', 'the office reads its own value')
    return 'home says Wednesday, the office Thursday'
  })
  await narrator.step('both edit the same text', async () => {
    await home.edit(NOTES, (text) => text.replace('## Berths\n', `## Berths\n\n${HOME_LINE}\n`))
    await office.edit(NOTES, (text) => `${text}\n${OFFICE_LINE}\n`)
    check((await office.text(NOTES))?.includes(HOME_LINE) === false, "the office has not seen home's line")
  })

  await narrator.step('home writes a long note, which the relay keeps for the office', async (progress) => {
    const before = needles.search(relay.folder).bytes
    const note = Array.from({ length: NOTE_LINES }, (_, line) => `- line ${line}: ${needles.plant('note')}\n`).join('')
    await home.edit(LONG_NOTE, () => note)
    await waitFor(
      'the sealed note on the relay',
      async () => {
        const grown = needles.search(relay.folder).bytes - before
        return grown >= note.length ? { done: true } : { waiting: `${grown} bytes` }
      },
      { withinMs: SOON_MS, progress },
    )
    return `${note.length} characters`
  })
  await searchRelay(play)

  await narrator.step('the line is mended: both are in sync again', async (progress) => {
    cable.mend(office.name)
    await office.live({
      withinMs: SOON_MS,
      progress,
    })
    await waitFor(
      'both texts and values to be equal',
      async () => {
        const seen = await Promise.all([
          home.text(NOTES),
          office.text(NOTES),
          home.value(DEPLOY_DAY),
          office.value(DEPLOY_DAY),
        ])
        const whole = seen.slice(0, 2).every((text) => text?.includes(HOME_LINE) && text.includes(OFFICE_LINE))
        return whole && seen[0] === seen[1] && seen[2] === seen[3] ? { done: true } : { waiting: 'not yet equal' }
      },
      { withinMs: SOON_MS, progress },
    )
    await Promise.all([home, office].map((machine) => machine.inSync({ withinMs: SOON_MS, progress })))
  })
  await narrator.step('the text holds both edits, on both machines', async () => {
    check((await home.text(NOTES)) === (await office.text(NOTES)), 'the texts are equal')
  })
  narrator.quote((await office.text(NOTES)) ?? '')

  let kept = ''
  await narrator.step('the register shows one conflict, with both writers', async () => {
    for (const machine of [home, office]) {
      const { conflicts } = await machine.call('conflicts.ls', ['conflicts', 'ls'])
      check(
        conflicts.length === 1 && conflicts[0]?.umr === DEPLOY_DAY,
        `${machine.name} lists exactly this conflict`,
        conflicts,
      )
    }
    const { siblings } = await home.call('conflicts.show', ['conflicts', 'show', DEPLOY_DAY])
    const seen = siblings.map(({ value, origin }) => `${value} by ${origin.nodeName}`).toSorted()
    check(
      seen.join() === '"Thursday" by office,"Wednesday" by home',
      'both writes are there, each with its writer',
      siblings,
    )
    kept = siblings.find(({ value }) => value === '"Wednesday"')?.origin.write ?? ''
    return seen.join(', ')
  })
  await narrator.step('home keeps Wednesday; the conflict is gone on both', async (progress) => {
    await home.call('conflicts.keep', ['conflicts', 'keep', DEPLOY_DAY, kept])
    await waitFor(
      'the choice at the office',
      async () => {
        const { conflicts } = await office.call('conflicts.ls', ['conflicts', 'ls'])
        const value = await office.value(DEPLOY_DAY)
        return conflicts.length === 0 && value === 'Wednesday' ? { done: true } : { waiting: `${value}` }
      },
      { withinMs: SOON_MS, progress },
    )
  })
}
