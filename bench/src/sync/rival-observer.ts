import { serveObserver } from './observer.ts'
import { openRival } from './rival-client.ts'

/** node rival-observer.js URL DOCUMENT */
const [url = '', name = ''] = process.argv.slice(2)
const client = await openRival(url, name)

const saw = serveObserver(() => {
  client.close()
  return Promise.resolve()
})
client.facts.observe((event) => {
  for (const key of event.keysChanged) {
    const value = client.facts.get(key)
    if (value !== undefined) saw(key, value)
  }
})
