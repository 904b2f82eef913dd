import { Failure } from '@sealmesh/protocol/errors'

/** What takes longer is not waited for, and whatever it says then is not heard. */
export function within<T>(ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Failure('RELAY_UNREACHABLE', 'The relay has not answered in time.')), ms)
    work.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
