import type { DrillWord } from '@sealmesh/protocol/drills/exchange'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { type DrillTalk, sayInDrill } from './drill-talk.ts'

/** Who hears nothing says it again. */
const AGAIN_MS = 3_000

export type Heard<Word extends DrillWord['word']> = Extract<DrillWord, { word: Word }>

type Answer = 'point' | 'moved' | 'dying' | 'ready' | 'after' | 'signed'

/** The standby's words to the holder in one drill, and the answers to them. */
export class DrillDialogue {
  readonly drill: string
  readonly holder: NodeId
  readonly #talk: DrillTalk
  readonly #answerMs: number
  /** The last word against it, whether it was waited for or not. */
  refusal: Failure | null = null
  #closed = false
  #waiting: { readonly word: DrillWord['word']; readonly heard: (word: DrillWord | undefined) => void } | undefined

  constructor(talk: DrillTalk, holder: NodeId, drill: string, answerMs: number) {
    this.#answerMs = answerMs
    this.#talk = talk
    this.holder = holder
    this.drill = drill
  }

  /** Nothing is waited for any more. */
  close(): void {
    this.#closed = true
    this.#waiting?.heard(undefined)
  }

  onWord(from: NodeId, drill: string, word: DrillWord): void {
    if (from !== this.holder || drill !== this.drill) return
    if (word.word === 'refused') this.refusal = refusedWith(word.reasons, 'DRILL_REFUSED')
    if (word.word === this.#waiting?.word || word.word === 'refused') this.#waiting?.heard(word)
  }

  /** Throws DRILL_REFUSED with the holder's reasons, and DRILL_FAILED when it says nothing. */
  async say<Word extends Answer>(word: DrillWord, answer: Word, giveUpMs = this.#answerMs): Promise<Heard<Word>> {
    const say = (): void => {
      if (!sayInDrill(this.#talk, this.holder, this.drill, word))
        throw new Failure('DRILL_FAILED', 'The report is larger than a packet.')
    }
    let again: NodeJS.Timeout | undefined
    let giveUp: NodeJS.Timeout | undefined
    try {
      const heard = await new Promise<DrillWord | undefined>((resolve) => {
        this.#waiting = { word: answer, heard: resolve }
        if (this.#closed) return resolve(undefined)
        say()
        again = setInterval(say, AGAIN_MS)
        giveUp = setTimeout(() => resolve(undefined), giveUpMs)
      })
      if (heard === undefined)
        throw new Failure('DRILL_FAILED', 'The holder does not answer.', {
          next: 'start its node, and run the drill again',
        })
      if (heard.word === 'refused')
        throw refusedWith(heard.reasons, answer === 'signed' ? 'DRILL_FAILED' : 'DRILL_REFUSED')
      return heard as Heard<Word>
    } finally {
      clearInterval(again)
      clearTimeout(giveUp)
      this.#waiting = undefined
    }
  }
}

const refusedWith = (reasons: readonly string[], code: 'DRILL_FAILED' | 'DRILL_REFUSED'): Failure =>
  new Failure(code, `The holder refuses: ${reasons.join('; ')}.`)
