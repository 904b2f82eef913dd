/** Dear to make, and the same for everybody who asks at once: strangers may ask as often as they like. */
const SHARED_PATH = '/metrics'
/** Nobody who watches a relay looks more often. */
const SHARED_MS = 100

type Fetch = (request: Request) => Response | Promise<Response>

/** The same answers, of which the dear one is made ten times a second at most. */
export function sharedAnswer(fetch: Fetch, now: () => number): Fetch {
  let atMs = Number.NEGATIVE_INFINITY
  let made: Promise<{ text: string; init: ResponseInit }> | null = null
  return async (request) => {
    if (request.method !== 'GET' || new URL(request.url).pathname !== SHARED_PATH) return await fetch(request)
    if (made === null || now() - atMs >= SHARED_MS) {
      atMs = now()
      made = read(fetch(request))
      made.catch(() => {
        made = null
      })
    }
    const { text, init } = await made
    return new Response(text, init)
  }
}

async function read(answer: Response | Promise<Response>): Promise<{ text: string; init: ResponseInit }> {
  const response = await answer
  return { text: await response.text(), init: { status: response.status, headers: [...response.headers] } }
}
