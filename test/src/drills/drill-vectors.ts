import { fromUtf8, toHex } from '@sealmesh/protocol/bytes'
import { encodeFiled, hashOfReport } from '@sealmesh/protocol/drills/report'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { FACTS, filedOf, HOME, keysOf, OFFICE } from './sample.ts'

/** test/vectors/drills.json: a filed report, its name, and the public keys that verify it. */
export function buildVectors(sodium: Sodium): unknown {
  const filed = filedOf(FACTS, sodium)
  const { home, office } = keysOf(sodium)
  return {
    about:
      'A filed drill report (docs/spec/14-drills.md). Keys and hashes in hexadecimal; the file is the text as UTF-8.',
    keys: { [HOME]: toHex(home.publicKey), [OFFICE]: toHex(office.publicKey) },
    hash: hashOfReport(filed.report, sodium),
    file: fromUtf8(encodeFiled(filed)),
  }
}
