/** The first of these to end, or undefined after so many milliseconds. Throws what the first one throws. */
export async function within<T>(ms: number, these: readonly Promise<T>[]): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  try {
    return await Promise.race([...these, late])
  } finally {
    clearTimeout(timer)
  }
}
