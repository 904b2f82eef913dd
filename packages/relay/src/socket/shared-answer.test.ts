import { expect, test } from 'vitest'
import { sharedAnswer } from './shared-answer.ts'

test('the metrics are made once for all who ask within a moment; everything else is asked for each time', async () => {
  let nowMs = 0
  let made = 0
  const fetch = sharedAnswer(
    (request) => new Response(`${new URL(request.url).pathname} ${++made}`, { headers: { 'x-made': 'here' } }),
    () => nowMs,
  )
  const ask = async (path: string): Promise<string> => await (await fetch(new Request(`http://relay${path}`))).text()
  expect(await Promise.all([ask('/metrics'), ask('/metrics')])).toEqual(['/metrics 1', '/metrics 1'])
  expect([await ask('/healthz'), await ask('/healthz')]).toEqual(['/healthz 2', '/healthz 3'])
  nowMs = 100
  const answer = await fetch(new Request('http://relay/metrics'))
  expect([answer.headers.get('x-made'), await answer.text()]).toEqual(['here', '/metrics 4'])
})
