import { toHex } from '@sealmesh/protocol/bytes'
import type { LoginPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { TAGS } from '@sealmesh/protocol/tags'

/** What a relay remembers a login or an admin by: what is on its disk says nothing to whoever has not met the key. */
export type KeyName = string & { readonly __brand: 'KeyName' }

export const keyName = (key: LoginPublicKey | SignPublicKey, sodium: Sodium): KeyName =>
  toHex(sodium.hash([TAGS.relayKeyName, key])) as KeyName
