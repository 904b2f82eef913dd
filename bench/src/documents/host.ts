import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What a bench asks of one of its processes, by name, with plain values; and that process's answers. */
export type Answers = Readonly<Record<string, (...args: never[]) => unknown>>

interface Call {
  readonly id: number
  readonly method: string
  readonly args: readonly unknown[]
}

type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly id: 0; readonly value: 'ready' }

/** A process of the bench that stays and is asked one thing after another. */
export class Host<A extends Answers> {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  #calls = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if ('error' in answer) waiting?.reject(new Error(answer.error))
      else waiting?.resolve(answer.value as never)
    })
    child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`a part of the bench ended: ${signal ?? code}`))
    })
  }

  /** Resolves when the process says that it is ready. */
  static async start<A extends Answers>(file: string, args: readonly string[]): Promise<Host<A>> {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: [],
    })
    const host = new Host<A>(child)
    await new Promise<void>((resolve, reject) => host.#waiting.set(0, { resolve, reject }))
    return host
  }

  ask<M extends keyof A & string>(method: M, ...args: Parameters<A[M]>): Promise<Awaited<ReturnType<A[M]>>> {
    return new Promise((resolve, reject) => {
      const id = ++this.#calls
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, method, args } satisfies Call)
    })
  }

  /** Asks it to close; its `close` answer ends it. */
  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.send({ id: -1, method: 'close', args: [] } satisfies Call)
    await gone
  }
}

/** The process's half. */
export function serve(answers: Answers & { readonly close: () => Promise<void> | void }): void {
  process.on('message', (call: Call) => void answer(call))
  process.send?.({ id: 0, value: 'ready' } satisfies Answer)

  async function answer({ id, method, args }: Call): Promise<void> {
    try {
      const value = await answers[method]?.(...(args as never[]))
      if (method === 'close') process.exit(0)
      process.send?.({ id, value } satisfies Answer)
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? `${error.message}` : String(error) } satisfies Answer)
    }
  }
}
