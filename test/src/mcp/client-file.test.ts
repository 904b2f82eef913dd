import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { replaceClientFile } from '@sealmesh/node/mcp/client-file'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'

test('what its program writes while the new text goes to the disk is not written over', async () => {
  const file = join(await temporaryFolder(), 'settings.json')
  writeFileSync(file, 'before')
  let written = false
  const looking = setInterval(() => {
    if (written || readdirSync(dirname(file)).length === 1) return
    written = true
    writeFileSync(file, 'its own')
  }, 0)
  const replacing = replaceClientFile(file, 'before', 'x'.repeat(48 * 1_048_576))
  await expect(replacing).rejects.toMatchObject({ code: 'CLIENT_CONFIG_CHANGED' })
  clearInterval(looking)
  expect(written).toBe(true)
  expect(readFileSync(file, 'utf8')).toBe('its own')
  // What was prepared holds all that the file does.
  expect(readdirSync(dirname(file))).toEqual(['settings.json'])
})
