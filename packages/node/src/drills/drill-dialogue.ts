import type { DrillWord } from '@sealmesh/protocol/drills/exchange'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { type DrillTalk, sayInDrill } from './drill-talk.ts'

/** Who hears nothing says it again. */
const AGAIN_MS = 3_000
/** A holder that is there answers within a second; one that rebuilds a large document, a little later. */
const GIVE_UP_MS = 30_000

export type Heard<Word extends DrillWord['word']> = Extract<DrillWord, { word: Word }>

/** The standby's words to the holder in one drill, and the answers to them. */
export class DrillDialogue {
  readonly drill: string
  readonly holder: NodeId
  readonly #talk: DrillTalk
  #waiting: { readonly word: DrillWord['word']; readonly heard: (word: DrillWord) => void } | undefined

  constructor(talk: DrillTalk, holder: NodeId, drill: string) {
    this.#talk = talk
    this.holder = holder
    this.drill = drill
  }

  onWord(from: NodeId, drill: string, word: DrillWord): void {
    if (from !== this.holder || drill !== this.drill) return
    if (word.word === this.#waiting?.word || word.word === 'refused') this.#waiting?.heard(word)
  }

  /** Throws DRILL_REFUSED with the holder's reasons, and DRILL_FAILED when it says nothing. */
  async say<Word extends 'point' | 'after' | 'signed'>(word: DrillWord, answer: Word): Promise<Heard<Word>> {
    const say = (): void => {
      if (!sayInDrill(this.#talk, this.holder, this.drill, word))
        throw new Failure('DRILL_FAILED', 'The report is larger than a packet.')
    }
    let again: NodeJS.Timeout | undefined
    let giveUp: NodeJS.Timeout | undefined
    try {
      const heard = await new Promise<DrillWord | undefined>((resolve) => {
        this.#waiting = { word: answer, heard: resolve }
        say()
        again = setInterval(say, AGAIN_MS)
        giveUp = setTimeout(() => resolve(undefined), GIVE_UP_MS)
      })
      if (heard === undefined) throw new Failure('DRILL_FAILED', 'The holder does not answer.')
      if (heard.word === 'refused')
        throw new Failure(
          answer === 'signed' ? 'DRILL_FAILED' : 'DRILL_REFUSED',
          `The holder refuses: ${heard.reasons.join('; ')}.`,
        )
      return heard as Heard<Word>
    } finally {
      clearInterval(again)
      clearTimeout(giveUp)
      this.#waiting = undefined
    }
  }
}
