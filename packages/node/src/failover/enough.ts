/** Resolves when `isEnough`, asked after each of them, or when all have ended. Whatever fails is what is not there. */
export function enough(works: readonly Promise<unknown>[], isEnough: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    let left = works.length
    const ended = () => {
      left -= 1
      if (left === 0 || isEnough()) resolve()
    }
    for (const work of works) work.then(ended, ended)
  })
}
