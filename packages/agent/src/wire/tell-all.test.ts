import { afterEach, expect, test, vi } from 'vitest'
import { tellAll } from './tell-all.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

test('a listener that throws keeps nobody from being told, and is heard of all the same', () => {
  const later: (() => void)[] = []
  vi.stubGlobal('queueMicrotask', (work: () => void) => later.push(work))
  const told: string[] = []
  const breaks = (): void => {
    throw new Error('broken')
  }
  tellAll([breaks, (said: string) => told.push(said)], 'news')
  expect(told).toEqual(['news'])
  expect(later).toHaveLength(1)
  expect(later[0]).toThrow('broken')
})
