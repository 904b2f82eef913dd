/** Closes once, however often it is asked to; `done` resolves when that is over, whatever came of it. */
export function closeOnce(closeAll: () => Promise<void>): {
  readonly close: () => Promise<void>
  readonly done: Promise<void>
} {
  let finish: () => void = () => undefined
  const done = new Promise<void>((resolve) => {
    finish = resolve
  })
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= closeAll().finally(() => finish())
    return closing
  }
  return { close, done }
}
